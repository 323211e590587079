import { expect, test } from 'vitest';
import { type Event, NOT_RUN, type State, next, words } from '../../src/attach/state';

const DETACHED: State = { kind: 'detached' };
const CONNECTING: State = { kind: 'connecting', since: 1 };
const CONNECTED: State = { kind: 'connected' };
const ERROR: State = { kind: 'error', fact: 'No.' };
const raised = (name: string, value = ''): Event => ({ kind: 'ended', error: { name, value } });
const told = (attached: boolean): Event => ({ kind: 'told', attached });

test.each<[string, State, Event, State]>([
  ['a cell that attaches begins', DETACHED, { kind: 'began', at: 1 }, CONNECTING],
  ['it ends well', CONNECTING, { kind: 'ended', error: null }, CONNECTED],
  ['it raises', CONNECTING, raised('AttachError', 'No.\nmore'), ERROR],
  ['it raises without a word', CONNECTING, raised('ValueError'), { kind: 'error', fact: 'ValueError' }],
  ['it is interrupted', CONNECTING, raised('KeyboardInterrupt'), DETACHED],
  ['it is not run, as one before it failed', CONNECTING, raised(NOT_RUN), DETACHED],
  ['the kernel goes', CONNECTED, { kind: 'gone' }, DETACHED],
  ['the cell ends after the kernel went', DETACHED, raised('AttachError', 'No.'), DETACHED],
  ['a kernel is asked', DETACHED, { kind: 'asked' }, { kind: 'asking' }],
  ['one that is attached is asked', CONNECTED, { kind: 'asked' }, CONNECTED],
  ['it has a session', { kind: 'asking' }, told(true), CONNECTED],
  ['it has none', { kind: 'asking' }, told(false), DETACHED],
  ['it has none any more', CONNECTED, told(false), DETACHED],
  ['it has none after an error', ERROR, told(false), ERROR],
  ['a later cell has lost it', CONNECTED, { kind: 'lost', fact: 'No.' }, ERROR],
  ['one that attaches has lost it', CONNECTING, { kind: 'lost', fact: 'No.' }, CONNECTING],
  ['another cell has attached after an error', ERROR, told(true), CONNECTED],
  ['it answers what it was asked before the cell began', CONNECTING, told(false), CONNECTING],
  ['the session is stopped', CONNECTED, { kind: 'stopping' }, { kind: 'detaching' }],
  ['it is gone', { kind: 'detaching' }, told(false), DETACHED]
])('%s', (_, before, event, after) => {
  expect(next(before, event)).toEqual(after);
});

test('states have words', () => {
  expect([DETACHED, CONNECTING, { kind: 'asking' } as const].map(words)).toEqual([
    'Not attached',
    'Connecting',
    'Asking the kernel'
  ]);
});
