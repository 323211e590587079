import { expect, test } from 'vitest';
import type { IOperation } from '../src/types';
import { age, condition, doing, elapsed, executors, lasted, workers } from '../src/words';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const before = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

test.each([
  [30, 'just now'],
  [60, '1 min'],
  [7200, '2 h'],
  [90_000, '1 d'],
  [-60, 'just now']
])('%i seconds ago is %s', (seconds, text) => {
  expect(age(before(seconds), NOW)).toBe(text);
});

test.each([
  [5, '0:05'],
  [61, '1:01'],
  [-3, '0:00']
])('%i seconds are shown as %s', (seconds, text) => {
  expect(elapsed(before(seconds), NOW)).toBe(text);
});

test('one worker is one worker', () => {
  expect([workers(1), workers(8)]).toEqual(['1 worker', '8 workers']);
});

test.each([
  ['CREATE_COMPLETE', 'good', 'Ready'],
  ['UPDATE_FAILED', 'bad', 'Failed'],
  ['UPDATE_IN_PROGRESS', 'busy', 'Being changed'],
  ['DELETE_IN_PROGRESS', 'busy', 'Being taken away']
])('%s is %s', (status, kind, text) => {
  expect(condition(status)).toEqual({ kind, text });
});

test.each([
  ['provision', 'running', false, 'Creating'],
  ['provision', 'running', true, 'Changing'],
  ['provision', 'lost', false, 'Failed to create'],
  ['destroy', 'cancelled', true, 'Cancelled: destroy'],
  ['grant', 'running', true, 'Giving maria access']
] as const)('%s that is %s', (verb, state, isThere, text) => {
  const cluster = { name: 'one', size: 1, status: 'CREATE_COMPLETE', created: before(0) };
  expect(doing({ verb, state, arguments: { user: 'maria' } } as unknown as IOperation, isThere ? cluster : undefined)).toBe(text);
});

test.each([
  [59.6, '60 s'],
  [61, '1 min 1 s'],
  [3700, '1 h 1 min']
])('%d seconds are %s', (seconds, text) => {
  expect(lasted(seconds)).toBe(text);
});

test.each([
  [1, null, '1 executor'],
  [0, null, '0 executors'],
  [2, 4, '2 of 4 executors']
])('%s executors of %s', (now, max, text) => {
  expect(executors({ now, max })).toBe(text);
});
