import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { cellSource, concerns } from '../../src/attach/cell';
import { readChoice } from '../../src/attach/choice';
import { lastLine } from '../../src/attach/progress';

// What Python itself reads in the cell: the arguments of its last call.
const READ = `
import ast, json, sys
call = ast.parse(sys.stdin.read()).body[-1].value
arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
print(json.dumps([ast.unparse(call.func), [ast.literal_eval(value) for value in call.args], arguments]))
`;
const read = (source: string) => JSON.parse(execFileSync('python3', ['-c', READ], { input: source, encoding: 'utf8' }));

test('only what differs from the defaults is said', () => {
  const source = cellSource(readChoice({ cluster: 'stars' }), {}, {});
  expect(source).toBe('import astrok8s\n\nspark = astrok8s.attach("stars")');
});

test('a short call is a line', () => {
  const choice = readChoice({ cluster: 'stars', mode: 'client', environment: 'here' });
  expect(cellSource(choice, { 'spark.a': '1' }, {})).toContain(
    'spark = astrok8s.attach("stars", mode="client", conf={"spark.a": "1"}, environment="here")'
  );
});

test('Python reads what was chosen, whatever is in it', () => {
  const odd = `"'\\\n\t{}%é☆𝄞\u2028\u0000`;
  const conf = { 'spark.a': odd, 'spark.b': '2', 'spark.c': '3' };
  const source = cellSource(readChoice({ cluster: odd, mode: 'client', environment: odd }), conf, { cloud: 'far' });
  expect(read(source)).toEqual(['astrok8s.attach', [odd], { mode: 'client', cloud: 'far', conf, environment: odd }]);
});

test('a shared cluster is said with its file, and without a cloud', () => {
  const source = cellSource(readChoice({ cluster: 'stars', access: 'stars-1' }), {}, { kubeconfig: '~/stars-1.kubeconfig' });
  expect(source).toContain('spark = astrok8s.attach("stars", kubeconfig="~/stars-1.kubeconfig")');
});

test.each([
  ['spark.stop()', true],
  ['import astrok8s', true],
  ['sparkling = 1', false]
])('whether %s concerns the session is %s', (source, does) => {
  expect(concerns(source)).toBe(does);
});

test('the last line that was written is found, without colours and times', () => {
  const stream = { output_type: 'stream', name: 'stderr', text: ['   0.8 s  asking\n', '   1.2 s  waiting\n'] };
  const shown = { output_type: 'display_data', metadata: {}, data: { 'text/plain': '\u001b[2m   3.6 s\u001b[0m  attaching\n' } };
  expect(lastLine([])).toBe('');
  expect(lastLine([stream])).toBe('waiting');
  expect(lastLine([stream, shown])).toBe('attaching');
});
