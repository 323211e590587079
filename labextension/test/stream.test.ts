import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Refusal } from '../src/refusal';
import { follow } from '../src/stream';

let asked = 0;
let server: Server;

/** Sends an operation, then cuts the connection in the middle of the next. */
beforeEach(async () => {
  asked = 0;
  server = createServer((_, response) => {
    asked += 1;
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(`: still here\n\nevent: operation\ndata: {"id": "${asked}"}\n\nevent: operation\ndata: {"i`, () =>
      response.destroy()
    );
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function ask(signal: AbortSignal): Promise<Response> {
  const { port } = server.address() as AddressInfo;
  return fetch(`http://127.0.0.1:${port}/`, { signal });
}

test('a cut stream begins again, and says so', async () => {
  const seen = [];
  for await (const event of follow(ask, new AbortController().signal, 1)) {
    seen.push(event);
    if (seen.length === 4) {
      break;
    }
  }
  expect(seen).toEqual([
    { kind: 'begin' },
    { kind: 'operation', operation: { id: '1' } },
    { kind: 'begin' },
    { kind: 'operation', operation: { id: '2' } }
  ]);
});

test('a refusal ends it', async () => {
  const refuse = () => Promise.reject(new Refusal('No.', 'Ask.'));
  await expect(follow(refuse, new AbortController().signal, 1).next()).rejects.toThrow('No. Ask.');
});

test('so does a signal', async () => {
  const over = new AbortController();
  const events = follow(ask, over.signal, 1);
  await events.next();
  over.abort();
  let last = await events.next();
  while (!last.done) {
    last = await events.next();
  }
  expect(asked).toBe(1);
});
