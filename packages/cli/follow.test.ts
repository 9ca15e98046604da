import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import t from 'tap';
import { createClient } from './client.ts';
import { startFakeController } from './fakeController.ts';
import { type FollowOptions, follow } from './follow.ts';
import { readMessages } from './sse.ts';

const signal = new AbortController().signal;
const options: FollowOptions = { signal, onSilence: () => {} };
const note = (text: string): FleetEvent => ({ type: 'note', host: null, text });

t.test('gives up when nothing has answered for long enough', async (t) => {
  const client = createClient({ controller: 'http://127.0.0.1:1', by: 'me', signal });
  let silences = 0;
  const events = follow(client, 'deployment/1', { ...options, patienceMs: 100, onSilence: () => silences++ });
  await t.rejects(events.next(), { code: 'controller_unreachable' });
  t.equal(silences, 1);
});

t.test('an answer that says no ends it at once', async (t) => {
  const server = createServer((_, response) => {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ code: 'unknown_deployment', message: 'there is no deployment 1' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const controller = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const events = follow(createClient({ controller, by: 'me', signal }), 'deployment/1', options);
  await t.rejects(events.next(), { code: 'unknown_deployment', message: 'there is no deployment 1' });
});

t.test('a connection on which nothing comes is replaced, and nothing is said of it', async (t) => {
  const fake = await startFakeController();
  t.teardown(() => fake.stop());
  const client = createClient({ controller: fake.url, by: 'me', signal });
  const onSilence = () => t.fail('the controller answers');
  const events = follow(client, 'deployment/1', { ...options, onSilence, idleMs: 300 });
  fake.publish('deployment/1', note('one'));
  t.match((await events.next()).value, { text: 'one' });
  const next = events.next();
  await fake.opened(3);
  fake.publish('deployment/2', note('of another deployment'));
  fake.publish('deployment/1', note('two'));
  t.match((await next).value, { text: 'two' });
  await events.return(undefined);
});

t.test('stops with the signal', async (t) => {
  const fake = await startFakeController();
  t.teardown(() => fake.stop());
  const stop = new AbortController();
  const client = createClient({ controller: fake.url, by: 'me', signal: stop.signal });
  const next = follow(client, 'deployment/1', { ...options, signal: stop.signal }).next();
  await fake.opened(1);
  stop.abort();
  await t.rejects(next, { name: 'AbortError' });
});

t.test('messages are read wherever the chunks break', async (t) => {
  const text =
    ': hello\n\nid: 7\r\ndata: {"a":\r\ndata: "é"}\r\n\r\nevent: x\ndata:1\n\nid: 8\ndata: cut off';
  const bytes = Buffer.from(text);
  for (const size of [1, 2, 7, bytes.length]) {
    const chunks = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    const messages = [];
    for await (const message of readMessages(chunks(), () => {})) messages.push(message);
    t.strictSame(messages, [
      { id: '7', data: '{"a":\n"é"}' },
      { id: '7', data: '1' },
    ]);
  }
});
