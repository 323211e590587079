import type { IOutput } from '@jupyterlab/nbformat';

/** The last line that attach() has written: to stderr, or, where rich knows that it is in a notebook, as an output to be shown. */
export function lastLine(outputs: IOutput[]): string {
  const lines = outputs.flatMap(output => written(output).split('\n')).filter(line => line.trim());
  // Without colours, and without the time, which is shown beside it.
  return (lines.at(-1) ?? '').replace(/\x1b\[[\d;]*m/g, '').replace(/^\s*[\d.]+ s\s+/, '').trim();
}

function written(output: IOutput): string {
  const { text, data } = output as { text?: unknown; data?: Record<string, unknown> };
  return [text ?? data?.['text/plain'] ?? ''].flat().join('');
}
