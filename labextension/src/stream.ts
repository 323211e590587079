import { EventSourceParserStream } from 'eventsource-parser/stream';
import { Refusal } from './refusal';
import type { StreamEvent } from './types';

/**
 * Reads what the stream of operations tells, through cut connections.
 *
 * @param request - opens it.
 * @param signal - ends it.
 * @param patience - milliseconds between a cut and the next try.
 */
export async function* follow(
  request: (signal: AbortSignal) => Promise<Response>,
  signal: AbortSignal,
  patience = 2000
): AsyncGenerator<StreamEvent> {
  while (!signal.aborted) {
    try {
      const response = await request(signal);
      yield { kind: 'begin' };
      yield* read(response);
    } catch (error) {
      if (error instanceof Refusal) {
        throw error;
      }
    }
    await new Promise(resolve => setTimeout(resolve, patience));
  }
}

async function* read(response: Response): AsyncGenerator<StreamEvent> {
  const reader = response
    .body!.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    const data = JSON.parse(value.data);
    yield value.event === 'removed' ? { kind: 'removed', id: data.id } : { kind: 'operation', operation: data };
  }
}
