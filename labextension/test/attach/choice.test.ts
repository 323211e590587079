import { expect, test } from 'vitest';
import { offered, properties } from '../../src/attach/bundles';
import { possible, readChoice } from '../../src/attach/choice';
import type { IBundle } from '../../src/types';

const BUNDLES: IBundle[] = [
  { name: 'a', description: '', clusters: ['*'], modes: ['connect', 'client'], conf: { 'spark.x': '1', 'spark.y': '1' } },
  { name: 'b', description: '', clusters: ['stars-?', 'sky.*'], modes: ['client'], conf: { 'spark.y': '2', 'spark.z': '2' } }
];
const CHOICE = { cluster: 'stars-1', access: '', mode: 'client', bundles: ['b', 'a'], conf: { 'spark.z': '3' }, environment: '' } as const;
const choice = (part: object = {}) => readChoice({ ...CHOICE, ...part });

test('what was chosen is found again', () => {
  expect(readChoice(JSON.parse(JSON.stringify(CHOICE)))).toEqual(CHOICE);
});

test.each([undefined, null, 'text', [], { cluster: 1, mode: 'x', bundles: 'a', conf: [1], environment: {} }])(
  'metadata of others are no choice: %j',
  value => {
    expect(readChoice(value)).toEqual({ cluster: '', access: '', mode: 'connect', bundles: [], conf: {}, environment: '' });
  }
);

const ACCESS = { id: 'sky-1', cluster: 'sky', namespace: 'user-ann', file: '~/sky-1.kubeconfig', expires: '2099-01-01T00:00:00Z' };

test.each([
  ['an own one', { cluster: 'two' }, ['one', 'two'], { cluster: 'two' }],
  ['an own one that is gone', { cluster: 'two' }, ['one'], { cluster: 'one' }],
  ['a shared one', { cluster: 'sky', access: 'sky-1' }, ['one'], { cluster: 'sky', access: 'sky-1' }],
  ['a shared one that has ended', { cluster: 'sky', access: 'sky-2' }, ['one'], { cluster: 'one', access: '' }],
  ['none, where there are shared ones alone', {}, [], { cluster: 'sky', access: 'sky-1', mode: 'connect' }]
])('the cluster of the choice, or the first one: %s', (_, before, ready, after) => {
  expect(possible(choice(before), ready, [ACCESS])).toEqual(choice(after));
});

test('without a cluster there is no choice', () => {
  expect(possible(choice(), [], [])).toBeNull();
});

test('a bundle whose patterns or modes do not fit is not offered', () => {
  const names = (cluster: string, mode: 'connect' | 'client') => offered(BUNDLES, { cluster, mode }).map(({ name }) => name);
  expect(names('stars-1', 'client')).toEqual(['a', 'b']);
  expect(names('sky.two', 'client')).toEqual(['a', 'b']);
  expect(names('stars-1', 'connect')).toEqual(['a']);
  expect(names('stars-12', 'client')).toEqual(['a']);
  expect(names('skyline', 'client')).toEqual(['a']);
});

test('later bundles win over earlier ones, whatever was ticked first, and the own properties over all', () => {
  expect(properties(BUNDLES, choice())).toEqual({ 'spark.x': '1', 'spark.y': '2', 'spark.z': '3' });
});

test('a bundle that does not go with the choice any more is left out', () => {
  expect(properties(BUNDLES, choice({ mode: 'connect' }))).toEqual({ 'spark.x': '1', 'spark.y': '1', 'spark.z': '3' });
});
