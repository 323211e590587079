import { expect, test } from 'vitest';
import { offered, properties } from '../../src/attach/bundles';
import { readChoice } from '../../src/attach/choice';
import type { IBundle } from '../../src/types';

const BUNDLES: IBundle[] = [
  { name: 'a', description: '', clusters: ['*'], modes: ['connect', 'client'], conf: { 'spark.x': '1', 'spark.y': '1' } },
  { name: 'b', description: '', clusters: ['stars-?', 'sky.*'], modes: ['client'], conf: { 'spark.y': '2', 'spark.z': '2' } }
];
const CHOICE = { cluster: 'stars-1', mode: 'client', bundles: ['b', 'a'], conf: { 'spark.z': '3' }, environment: '' } as const;
const choice = (part: object = {}) => readChoice({ ...CHOICE, ...part });

test('what was chosen is found again', () => {
  expect(readChoice(JSON.parse(JSON.stringify(CHOICE)))).toEqual(CHOICE);
});

test.each([undefined, null, 'text', [], { cluster: 1, mode: 'x', bundles: 'a', conf: [1], environment: {} }])(
  'metadata of others are no choice: %j',
  value => {
    expect(readChoice(value)).toEqual({ cluster: '', mode: 'connect', bundles: [], conf: {}, environment: '' });
  }
);

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
