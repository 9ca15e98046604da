import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { dial } from '@fleet/link/dial.ts';
import type { Log } from '@fleet/link/log.ts';
import { openSession, type Session, type SessionOptions } from '@fleet/link/session.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type ControllerMethods,
  type Handlers,
} from '@fleet/protocol/messages/methods.ts';
import t, { type Test } from 'tap';
import { type AgentsOptions, createAgents, type Hello } from './agents.ts';

const HOUR_MS = 3_600_000;
const PATH = '/agents';
const FLEET = 'the fleet';
const WAIT = { timeoutMs: 20_000 };
const quiet: Log = { debug() {}, info() {}, warn() {} };
const soon = () => AbortSignal.timeout(20_000);

async function controllerWith(t: Test, more: Partial<AgentsOptions> = {}) {
  const server = createServer({ headersTimeout: 0, requestTimeout: 0 }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const events: string[] = [];
  const agents = createAgents({
    server,
    path: PATH,
    fleet: FLEET,
    version: '0.1.0',
    log: quiet,
    onHello: async ({ host }) => void events.push(`hello ${host}`),
    onGone: (host) => void events.push(`gone ${host}`),
    ...more,
  });
  t.teardown(async () => {
    await agents.close();
    server.close();
  });
  return { agents, events, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}` };
}

function helloOf(host: string, more: Partial<Hello> = {}): Hello {
  return {
    protocol: { min: 1, max: 1 },
    agent: '0.1.0',
    host,
    instance: crypto.randomUUID(),
    labels: { role: 'web' },
    platform: 'linux-x64',
    bootId: 'boot',
    services: [],
    freeDisk: 1,
    ...more,
  };
}

const report = {
  current: '1.0.0',
  running: '1.0.0',
  identity: null,
  state: 'running',
  releases: [],
} as const;

/** Connects once and stays until `leave`; `reply` is what the hello was answered with, or why it was not. */
async function agentAt(
  t: Test,
  url: string,
  hello: Hello,
  more: Partial<Pick<SessionOptions<ControllerMethods, AgentMethods>, 'receive' | 'handlers'>> = {},
) {
  const stop = new AbortController();
  const { promise: answered, resolve } = Promise.withResolvers<Session<ControllerMethods>>();
  const { promise: greeted, resolve: greet, reject: refuse } = Promise.withResolvers<unknown>();
  greeted.catch(() => {});
  const handlers = { 'step.report': async () => report } as unknown as Handlers<AgentMethods>;
  const ended = dial({
    url,
    log: quiet,
    signal: stop.signal,
    async connect(socket) {
      const session = openSession({
        socket,
        theirs: CONTROLLER_METHODS,
        ours: AGENT_METHODS,
        handlers,
        ...more,
      });
      resolve(session);
      void session.closed.then(() => stop.abort());
      greet(await session.ask('hello', hello, WAIT).catch((error) => Promise.reject(refuse(error) ?? error)));
      return session;
    },
  });
  const leave = async () => {
    stop.abort();
    await ended;
  };
  t.teardown(leave);
  return { session: await answered, greeted, leave };
}

t.test('a host is connected from its answered hello to its end', async (t) => {
  const { promise: stored, resolve: store } = Promise.withResolvers<void>();
  const { agents, events, url } = await controllerWith(t, {
    onHello: async ({ host }) => {
      events.push(`hello ${host}`);
      await stored;
      events.push(`stored ${host}`);
    },
  });
  const report1 = { service: 'segmenter' };
  await t.rejects(agents.ask('web-1', 'step.report', report1, WAIT), {
    code: 'unreachable',
    message: 'web-1 is not connected',
    next: /fleet agent.*fleet hosts/,
    data: { host: 'web-1' },
  });
  const connected = agents.whenConnected('web-1', soon()).then(() => events.push('connected'));
  const hello = helloOf('web-1');
  const { greeted, leave } = await agentAt(t, url, hello);
  void greeted.then(() => events.push('greeted'));
  while (events.length === 0) await new Promise(setImmediate);
  t.notOk(agents.isConnected('web-1'), 'not before the store knows it');
  t.equal(agents.hello('web-1'), undefined);
  store();
  t.same(await greeted, { protocol: 1, fleet: FLEET });
  await connected;
  t.same(events.slice(0, 2), ['hello web-1', 'stored web-1']);
  t.ok(agents.isConnected('web-1'));
  t.same(agents.hello('web-1'), hello);
  await agents.whenConnected('web-1', soon());
  t.same(await agents.ask('web-1', 'step.report', report1, WAIT), report);
  await leave();
  while (agents.isConnected('web-1')) await new Promise(setImmediate);
  t.equal(events.at(-1), 'gone web-1');
  await t.rejects(agents.ask('web-1', 'step.report', report1, WAIT), { code: 'unreachable' });
});

t.test('waiting for a host ends with its signal', async (t) => {
  const { agents } = await controllerWith(t);
  const giveUp = new AbortController();
  const waited = agents.whenConnected('web-1', giveUp.signal);
  giveUp.abort();
  await t.rejects(waited, { code: 'unreachable', data: { host: 'web-1' } });
  await t.rejects(agents.whenConnected('web-1', AbortSignal.abort()), { code: 'unreachable' });
});

t.test('errors name the host', async (t) => {
  const { agents, url } = await controllerWith(t);
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const handlers = {
    'step.report': async () => {
      throw new FleetError('start_failed', 'segmenter did not start', { data: { exit: 3 } });
    },
    'log.read': () => {
      resolve();
      return new Promise(() => {});
    },
  } as unknown as Handlers<AgentMethods>;
  const { leave } = await agentAt(t, url, helloOf('web-1'), { handlers });
  await agents.whenConnected('web-1', soon());
  await t.rejects(agents.ask('web-1', 'step.report', { service: 'a' }, WAIT), {
    code: 'start_failed',
    message: 'segmenter did not start',
    data: { exit: 3, host: 'web-1' },
  });
  const read = { service: 'a', lines: 1 };
  await t.rejects(agents.ask('web-1', 'log.read', read, { timeoutMs: 10 }), {
    code: 'timeout',
    message: /^web-1: log\.read was not answered within 10 ms/,
  });
  const interrupted = agents.ask('web-1', 'log.read', read, WAIT);
  await asked;
  void leave();
  await t.rejects(interrupted, { code: 'link_lost', message: /^web-1: log\.read was not answered/ });
});

t.test('a file is sent to a host', async (t) => {
  const { agents, url } = await controllerWith(t);
  const path = join(t.testdir({}), 'artifact');
  await writeFile(path, 'the artifact');
  const received: Buffer[] = [];
  await agentAt(t, url, helloOf('web-1'), {
    receive: async () => ({
      write: async (chunk) => void received.push(chunk),
      async end() {},
      async abort() {},
    }),
  });
  await agents.whenConnected('web-1', soon());
  await agents.send('web-1', { name: 'release/a', path, from: 4, size: 12 });
  t.equal(Buffer.concat(received).toString(), 'artifact');
  await t.rejects(agents.send('web-2', { name: 'x', path, from: 0, size: 12 }), { code: 'unreachable' });
});

t.test('another agent under the same name is refused, and the first one stays', async (t) => {
  const { agents, events, url } = await controllerWith(t);
  const first = await agentAt(t, url, helloOf('web-1'));
  await agents.whenConnected('web-1', soon());
  const second = await agentAt(t, url, helloOf('web-1'));
  await t.rejects(second.greeted, {
    code: 'name_in_use',
    message: 'another agent is connected under the name web-1',
    next: /agent\.yaml/,
  });
  t.match(await second.session.closed, { code: 'link_lost' });
  t.ok(agents.isConnected('web-1'));
  t.same(events, ['hello web-1']);
  // Its name is free once the first has gone.
  await first.leave();
  while (agents.isConnected('web-1')) await new Promise(setImmediate);
  await (await agentAt(t, url, helloOf('web-1'))).greeted;
});

t.test('the same agent coming back replaces its old session, and is not gone in between', async (t) => {
  const { agents, events, url } = await controllerWith(t);
  const hello = helloOf('web-1');
  const old = await agentAt(t, url, hello);
  await agents.whenConnected('web-1', soon());
  const fresh = await agentAt(t, url, { ...hello, freeDisk: 2 });
  await fresh.greeted;
  t.match(await old.session.closed, { message: 'closed by the peer: web-1 has connected anew' });
  await agents.whenConnected('web-1', soon());
  t.equal(agents.hello('web-1')?.freeDisk, 2);
  t.same(await agents.ask('web-1', 'step.report', { service: 'a' }, WAIT), report);
  t.same(events, ['hello web-1', 'hello web-1']);
  await fresh.leave();
  while (events.length < 3) await new Promise(setImmediate);
  t.same(events.slice(2), ['gone web-1']);
});

t.test('no protocol in common is told to both sides of it', async (t) => {
  const { agents, url } = await controllerWith(t);
  const newer = await agentAt(t, url, helloOf('web-1', { agent: '0.9.0', protocol: { min: 2, max: 3 } }));
  await t.rejects(newer.greeted, {
    code: 'version_mismatch',
    message: `the agent on web-1 (fleet 0.9.0) speaks protocol 2 to 3, the controller (fleet 0.1.0) 1`,
    next: 'Put a newer controller in place, one that comes with fleet 0.9.0, or an older agent on web-1.',
  });
  const older = await agentAt(t, url, helloOf('web-1', { protocol: { min: 0, max: 0 } }));
  await t.rejects(older.greeted, {
    code: 'version_mismatch',
    next: `Put a newer agent in place on web-1: one that comes with fleet 0.1.0.`,
  });
  t.notOk(agents.isConnected('web-1'));
  const wide = await agentAt(t, url, helloOf('web-1', { protocol: { min: 0, max: 7 } }));
  t.match(await wide.greeted, { protocol: 1 });
});

t.test('a newer agent says more in its hello, and is taken for what is known of it', async (t) => {
  const { agents, url } = await controllerWith(t);
  const services = [{ service: 'a', current: null, releases: [], mood: 'well' }];
  const more = { protocol: { min: 1, max: 2, draft: 3 }, services, gpus: 8 } as unknown as Partial<Hello>;
  const newer = await agentAt(t, url, helloOf('web-1', more));
  t.match(await newer.greeted, { protocol: 1, fleet: FLEET });
  await agents.whenConnected('web-1', soon());
  t.notMatch(agents.hello('web-1'), { gpus: 8 });
  t.strictSame(agents.hello('web-1')?.services, [{ service: 'a', current: null, releases: [] }]);
});

t.test('a hello that cannot be stored is refused; one that comes twice ends the session', async (t) => {
  let refused = true;
  const { agents, events, url } = await controllerWith(t, {
    onHello: async () => {
      if (refused) throw new FleetError('internal', 'the database is locked');
    },
  });
  const hello = helloOf('web-1');
  const first = await agentAt(t, url, hello);
  await t.rejects(first.greeted, { code: 'internal', message: 'the database is locked' });
  await first.session.closed;
  refused = false;
  const second = await agentAt(t, url, hello);
  await second.greeted;
  await t.rejects(second.session.ask('hello', helloOf('web-2'), WAIT), { code: 'bad_message' });
  await second.session.closed;
  t.notOk(agents.isConnected('web-2'));
  while (agents.isConnected('web-1')) await new Promise(setImmediate);
  t.same(events, ['gone web-1']);
});

t.test('a host lost while it is stored is gone, not connected', async (t) => {
  const { promise: stored, resolve: store } = Promise.withResolvers<void>();
  const { promise: storing, resolve: begun } = Promise.withResolvers<void>();
  const { promise: noticed, resolve: notice } = Promise.withResolvers<void>();
  const { agents, events, url } = await controllerWith(t, {
    log: { ...quiet, info: (_data, message) => message === 'agent gone' && notice() },
    onHello: async () => {
      begun();
      await stored;
    },
  });
  const { session } = await agentAt(t, url, helloOf('web-1'));
  await storing;
  session.close('changed my mind');
  await noticed;
  t.same(events, [], 'the store does not know it yet');
  store();
  while (events.length === 0) await new Promise(setImmediate);
  t.same(events, ['gone web-1']);
  t.notOk(agents.isConnected('web-1'));
});

t.test('an agent that says no hello is cut off', async (t) => {
  const { url } = await controllerWith(t, { helloMs: 50 });
  const stop = new AbortController();
  let why: Promise<FleetError> | undefined;
  await dial({
    url,
    log: quiet,
    signal: stop.signal,
    async connect(socket) {
      const session = openSession({
        socket,
        theirs: CONTROLLER_METHODS,
        ours: AGENT_METHODS,
        handlers: {} as Handlers<AgentMethods>,
      });
      why = session.closed;
      void why.then(() => stop.abort());
      return session;
    },
  });
  t.match(await why, { message: 'closed by the peer: no hello within 50 ms' });
});

t.test('a crowd that says nothing keeps nobody out, and does not grow without bound', async (t) => {
  // Only for being too many is anybody cut off here.
  const { agents, url } = await controllerWith(t, { helloMs: HOUR_MS, heartbeatMs: HOUR_MS });
  const { port } = new URL(url);
  const before = await agentAt(t, url, helloOf('web-1'));
  await before.greeted;
  await agents.whenConnected('web-1', soon());

  let left = 0;
  /** Half of them have asked for the upgrade and say no hello; the others are as silent as TCP can be. */
  async function silent(index: number): Promise<void> {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
    socket.once('close', () => {
      left += 1;
    });
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    if (index % 2 === 0) return;
    const key = 'AAAAAAAAAAAAAAAAAAAAAA==';
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`);
    socket.write(`Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  }
  await Promise.all(Array.from({ length: 300 }, (_, index) => silent(index)));
  const after = await agentAt(t, url, helloOf('web-2'));
  await after.greeted;
  await agents.whenConnected('web-2', soon());
  while (left < 300 - 256) await new Promise(setImmediate);
  t.ok(agents.isConnected('web-1'), 'who has said hello is no newcomer any more');
  t.same(await agents.ask('web-1', 'step.report', { service: 'a' }, WAIT), report);
});

t.test('close tells the agents and whoever waits', async (t) => {
  const { agents, events, url } = await controllerWith(t);
  const { session } = await agentAt(t, url, helloOf('web-1'));
  await agents.whenConnected('web-1', soon());
  const waited = agents.whenConnected('web-2', soon());
  const refused = t.rejects(waited, { code: 'stopping' });
  await agents.close();
  await refused;
  t.match(await session.closed, { message: 'closed by the peer: the controller is stopping' });
  t.same(events, ['hello web-1'], 'no host is gone because the controller is');
  await t.rejects(agents.whenConnected('web-1', soon()), { code: 'stopping' });
});
