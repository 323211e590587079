import { expect, test } from 'vitest';
import { type IJobs, line } from '../../src/attach/jobs';

const RUNNING: IJobs = { cell: 'a', stage: 2, stages: 3, done: 14, tasks: 40, seconds: 11.6, over: false };

test.each<[string, Partial<IJobs>, string]>([
  ['one that runs', {}, 'stage 2 of 3, 14 of 40 tasks'],
  ['one with a single task', { stage: 1, stages: 1, done: 0, tasks: 1 }, 'stage 1 of 1, 0 of 1 task'],
  ['one that has ended', { done: 40, over: true }, '12 s, 40 tasks'],
  ['one that was interrupted', { over: true }, '12 s, 14 of 40 tasks']
])('%s', (_, part, text) => {
  expect(line({ ...RUNNING, ...part })).toBe(text);
});
