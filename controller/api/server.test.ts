import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import { BY_HEADER, EVENTS, ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { CODES } from '@fleet/protocol/errors.ts';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { fleets, NEW, OLD, type Setting } from '../deploy/fleet.fixture.ts';
import { joinBody, tokenOf } from '../enrol/enrolment.fixture.ts';
import { buildTopic, deploymentTopic } from '../store/events.ts';
import { type Asked, ask, CALLS, joining } from './calls.fixture.ts';
import type { Serving } from './handlers.ts';
import { createApi } from './server.ts';
import { servingOf } from './serving.fixture.ts';
import { follow } from './stream.fixture.ts';

const makeFleet = await fleets(t);

/** A controller's API over a real socket. */
async function serve(t: Test, setting: Setting = {}, more: Partial<Serving> = {}) {
  const fleet = await makeFleet(t, setting);
  const { deployer, store, serving, enrolment } = await servingOf(t, fleet);
  const served: Serving = { ...serving, ...more };
  const api = await createApi(served, pino({ level: 'silent' }), createServer(), {
    development: true,
    origins: [],
    now: Date.now,
  });
  t.teardown(() => api.close());
  await api.listen({ host: '127.0.0.1', port: 0 });
  const { port } = api.server.address() as AddressInfo;
  return { fleet, deployer, store, enrolment, port, url: `http://127.0.0.1:${port}` };
}

const errorForm = z.strictObject({
  code: z.enum(Object.keys(CODES) as [keyof typeof CODES]),
  message: z.string().min(1),
  next: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
});

const ROUTE_LIST = Object.entries(ROUTES) as Array<[RouteName, Route]>;

t.test('every route answers in the form that it declares', async (t) => {
  const { port, fleet, deployer, store, enrolment } = await serve(t);
  const held = Promise.withResolvers<void>();
  for (const [name, { method, reply }] of ROUTE_LIST) {
    if (name === 'hosts.forget') fleet.agents.disconnect('c');
    if (name === 'hosts.in') {
      // It is as it should be: no deployment begins, and those below keep their numbers.
      await store.hidden.close('segmenter', 'production', 'b');
      fleet.balancer.admin.set('b', 'ready');
    }
    if (name === 'hosts.remove')
      await store.hosts.save({ ...(await store.hosts.list())[0]!, host: 'c', services: [] });
    if (name === 'hosts.approve')
      await enrolment.join(joinBody(await tokenOf(enrolment, { approve: true }), 'newcomer'));
    if (name === 'joining.revoke') [{ id: joining.tokenId = '' } = {}] = await enrolment.listTokens();
    if (name === 'agents.join') joining.token = await tokenOf(enrolment);
    if (name === 'deployments.pause') {
      // Something to pause, resume and abort, that does not end before.
      fleet.agents.trouble('a', 'step.report', { kind: 'held', until: held.promise }, { times: 1 });
      await deployer.start({ service: 'segmenter', version: NEW, skipChecks: [] }, 'ann');
    }
    if (name === 'deployments.skip') {
      fleet.agents.trouble('a', 'step.restart', { kind: 'dies', during: 'after_start' }, { times: 1 });
      const id = await deployer.start({ service: 'segmenter', version: NEW, skipChecks: [] }, 'ann');
      await store.events.until(`deployment/${id}`, AbortSignal.timeout(30_000), async () =>
        (await store.deployments.get(id)).state === 'waiting' ? true : undefined,
      );
    }
    const { good } = CALLS[name];
    // Bytes, that way or this: receive.test.ts and programs.test.ts.
    if (name === 'releases.push' || name === 'programs.fetch') continue;
    const { status, json } = await ask(port, { method, ...good });
    t.equal(status, 200, `${name}: ${JSON.stringify(json)}`);
    t.strictSame(reply.parse(json), json, name);
    if (name === 'deployments.pause' || name === 'deployments.resume') continue;
    held.resolve();
    await deployer.idle();
    if (name === 'hosts.forget') fleet.agents.connect('c');
  }
});

t.test('what there is not is said in one form', async (t) => {
  const { port } = await serve(t);
  for (const [name, { method }] of ROUTE_LIST) {
    const { unknown } = CALLS[name];
    if (unknown === undefined) continue;
    const { status, json } = await ask(port, { method, ...unknown });
    const { code } = errorForm.parse(json);
    t.equal(status, CODES[code].http, `${name}: ${code}`);
    t.ok(status! >= 400 && status! < 500, name);
    t.not(code, 'internal');
  }
});

t.test('what does not have the form that is asked for is refused in one form', async (t) => {
  const { port } = await serve(t);
  const json = 'application/json';
  const wrong: Record<string, [Asked, status?: number]> = {
    'no such route': [{ path: '/api/nothing' }, 404],
    'no such method': [{ method: 'PUT', path: '/api/plans', body: {} }, 404],
    'a path that does not decode': [{ path: '/api/hosts/%zz' }],
    'a host that is a path': [{ method: 'DELETE', path: '/api/hosts/..%2f..%2fetc' }],
    'a name as long as a book': [{ method: 'DELETE', path: `/api/hosts/${'a'.repeat(2000)}` }],
    'no JSON': [{ method: 'POST', path: '/api/plans', raw: '{"service":' }],
    'an empty body': [{ method: 'POST', path: '/api/plans', raw: '', headers: { 'content-type': json } }],
    'no body': [{ method: 'POST', path: '/api/plans' }],
    'another content type': [
      { method: 'POST', path: '/api/plans', raw: 'service=a', headers: { 'content-type': 'text/plain' } },
    ],
    'a form': [
      {
        method: 'POST',
        path: '/api/deployments',
        raw: 'service=segmenter',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      },
    ],
    'a prototype': [{ method: 'POST', path: '/api/plans', raw: '{"service":"a","__proto__":{"by":1}}' }],
    'too much': [{ method: 'POST', path: '/api/plans', raw: JSON.stringify('a'.repeat(2 ** 21)) }],
    'an unknown member': [
      { method: 'POST', path: '/api/plans', body: { service: 'segmenter', force: true } },
    ],
    'a service that is an option': [{ method: 'POST', path: '/api/plans', body: { service: '--help' } }],
    'an id that is no number': [{ path: '/api/deployments/one' }],
    'an unknown parameter': [{ path: '/api/deployments?order=up' }],
    'a limit without measure': [{ path: '/api/deployments?limit=1000000' }],
    'a topic of nothing': [{ path: `${EVENTS.path}?topic=secrets` }],
  };
  for (const [what, [asked, expected = 400]] of Object.entries(wrong)) {
    const { status, json } = await ask(port, asked);
    t.equal(status, expected, `${what}: ${JSON.stringify(json)}`);
    t.match(errorForm.safeParse(json), { success: true, data: { code: 'bad_request' } }, what);
  }
});

t.test('a fault of the controller is not said to be the caller’s', async (t) => {
  const { fleet } = await serve(t);
  const { deps } = await fleet.controller();
  // An agent's answer that is not in the form that the API declares.
  const agents = Object.assign(Object.create(deps.agents) as typeof deps.agents, {
    ask: async () => ({ text: 5 }),
  });
  const { port } = await serve(t, {}, { agents });
  const { status, json } = await ask(port, { path: '/api/services/segmenter/hosts/a/log' });
  t.equal(status, 500);
  t.match(errorForm.parse(json), { code: 'internal' });
});

t.test('a page on some site cannot ask', async (t) => {
  const { port } = await serve(t);
  const from = (headers: Record<string, string>, path = '/api/status') => ask(port, { path, headers });
  const refused: Array<Record<string, string>> = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${port + 1}` },
    { origin: `https://127.0.0.1:${port}` },
    { host: 'evil.example' },
    { host: `evil.example:${port}` },
    { host: `127.0.0.1.evil.example:${port}` },
    { host: `localhost.evil.example` },
    { host: 'rebound.example', origin: 'http://rebound.example' },
  ];
  for (const headers of refused) {
    const { status, json } = await from(headers);
    t.equal(status, 400, JSON.stringify(headers));
    t.match(errorForm.parse(json), { code: 'bad_request', message: /another site/ });
  }
  const evil = { origin: 'http://evil.example' };
  for (const path of ['/docs/json', '/docs', EVENTS.path, '/nothing'])
    t.equal((await from(evil, path)).status, 400, path);
  const deploy = { method: 'POST', path: '/api/deployments', body: { service: 'segmenter', version: NEW } };
  t.equal((await ask(port, { ...deploy, headers: evil })).status, 400);
  t.match((await ask(port, { path: '/api/deployments' })).json, { length: 1 }, 'nothing was begun');

  const allowed: Array<Record<string, string>> = [
    {},
    { origin: `http://127.0.0.1:${port}` },
    { host: `localhost:${port}` },
    { host: `localhost:${port}`, origin: `http://localhost:${port}` },
    { host: `[::1]:${port}` },
  ];
  for (const headers of allowed) t.equal((await from(headers)).status, 200, JSON.stringify(headers));
});

t.test('who asks is kept, and is a plain word', async (t) => {
  const { port, deployer, store } = await serve(t);
  const deploy = async (by: string, version: string) => {
    const asked = { method: 'POST', path: '/api/deployments', body: { service: 'segmenter', version } };
    const { json } = await ask(port, { ...asked, headers: { [BY_HEADER]: by } });
    await deployer.idle();
    return (await store.deployments.get((json as { id: number }).id)).by;
  };
  t.equal(await deploy('ann@build-1', NEW), 'ann@build-1');
  t.equal(await deploy('a <b>person</b>', OLD), 'unknown');
});

t.test('status: what runs, what is visible, and why not', async (t) => {
  const { port, fleet } = await serve(t);
  fleet.agents.sicken('a', NEW);
  fleet.agents.sicken('a', OLD);
  await fleet.deploy(NEW);
  fleet.agents.disconnect('b');
  fleet.balancer.down.add('c');
  const status = async () => (await ask(port, { path: '/api/status' })).json;
  t.match(await status(), {
    services: [
      {
        service: 'segmenter',
        environment: 'production',
        version: OLD,
        running: null,
        hosts: [
          {
            host: 'a',
            connected: true,
            running: OLD,
            balancer: 'hidden',
            note: /hidden by deployment 2, since/,
          },
          {
            host: 'b',
            connected: false,
            running: OLD,
            state: 'unknown',
            balancer: 'visible',
            note: null,
          },
          { host: 'c', connected: true, running: OLD, state: 'running', balancer: 'down' },
        ],
      },
    ],
  });
  fleet.balancer.unreachable = true;
  t.match(await status(), { services: [{ hosts: [{ balancer: 'unknown' }, {}, {}] }] });
});

t.test('a deployment as it goes on', async (t) => {
  const { port, fleet, deployer } = await serve(t);
  const seen: unknown[] = [];
  fleet.onAct = (line) => {
    if (line === 'b hide') seen.push(ask(port, { path: '/api/deployments/2' }).then(({ json }) => json));
  };
  await fleet.deploy(NEW);
  await deployer.idle();
  t.match(
    await seen[0],
    { deployment: { state: 'running', exit: null, version: NEW }, recap: { state: 'running', exit: 1 } },
    'not green before its end',
  );
  t.match((await ask(port, { path: '/api/deployments/2' })).json, {
    deployment: { state: 'succeeded', exit: 0, hosts: 3 },
    recap: { state: 'succeeded', exit: 0 },
  });
  const { json } = await ask(port, { path: '/api/deployments/2/steps/7/output' });
  t.match(json, { text: /started 1\.1\.0/ });
});

t.test('of many that begin at once exactly one proceeds, and the others are told which', async (t) => {
  const { deployer, fleet, port } = await serve(t);
  const deploy = { path: '/api/deployments', body: { service: 'segmenter', version: NEW } };
  const goBack = { path: '/api/rollbacks', body: { service: 'segmenter', to: OLD } };
  const crowds = [Array.from({ length: 50 }, () => deploy), [goBack, goBack], [deploy, goBack]];
  for (const crowd of [...crowds, ...crowds]) {
    const answered = Promise.withResolvers<void>();
    // It does not end before the last of them has asked.
    fleet.agents.trouble('a', 'step.report', { kind: 'held', until: answered.promise }, { times: 1 });
    const answers = await Promise.all(crowd.map((each) => ask(port, { method: 'POST', ...each })));
    const begun = answers.filter(({ status }) => status === 200);
    t.equal(begun.length, 1, `one of ${crowd.length}`);
    const { id } = begun[0]!.json as { id: number };
    const refused = answers.filter(({ status }) => status === 409).map(({ json }) => errorForm.parse(json));
    t.equal(refused.length, crowd.length - 1);
    for (const { code, data, next } of refused)
      t.match(
        [code, data?.deployment, next],
        ['locked', id, `fleet attach ${id} to watch it, fleet abort ${id} to stop it`],
      );
    answered.resolve();
    await deployer.idle();
  }
});

t.test('the OpenAPI document lists every route', async (t) => {
  const { port } = await serve(t);
  const { status, json } = await ask(port, { path: '/docs/json' });
  t.equal(status, 200);
  const document = z
    .object({
      openapi: z.string().regex(/^3\./),
      info: z.object({ title: z.literal('fleet'), version: z.literal('0.1.0') }),
      paths: z.record(z.string(), z.record(z.string(), operation)),
    })
    .parse(json);
  for (const [name, { method, path, summary, body, params, gives }] of ROUTE_LIST) {
    const at = path.replace(/:(\w+)/g, '{$1}');
    const found = document.paths[at]?.[method.toLowerCase()];
    t.match(found, { summary, operationId: name }, `${method} ${at}`);
    t.equal(found?.requestBody !== undefined, body !== undefined, 'body');
    if (params !== undefined) t.ok(found?.parameters?.some((parameter) => parameter.in === 'path'));
    if (gives === undefined) t.ok(found?.responses['200']?.content?.['application/json']?.schema, 'reply');
  }
  t.ok(document.paths[EVENTS.path]?.get, 'and the event stream');
  t.notMatch(JSON.stringify(json), /"\$ref":"(?!#\/components)/, 'it refers to nothing outside');
});

const operation = z.object({
  summary: z.string(),
  operationId: z.string().optional(),
  requestBody: z.object({ content: z.record(z.string(), z.unknown()) }).optional(),
  parameters: z.array(z.object({ in: z.string(), name: z.string() })).optional(),
  responses: z.record(
    z.string(),
    z.object({ content: z.record(z.string(), z.object({ schema: z.unknown() })).optional() }),
  ),
});

const note = (text: string) => ({ type: 'note', host: null, text }) as const;
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
const TOPIC = buildTopic(1);
const OTHER = buildTopic(2);

/** A controller with no event yet, and two things that events can be about. */
async function serveStream(t: Test) {
  const { url, store } = await serve(t, { running: null });
  for (const ref of ['one', 'other']) await store.builds.begin('segmenter', ref);
  return {
    append: (topic: string, text: string) => store.events.append(topic, note(text)),
    tell: (topic: string, text: string) => store.events.tell(topic, note(text)),
    async follow(query: string, lastEventId?: number) {
      const following = await follow(`${url}${EVENTS.path}${query}`, lastEventId);
      t.teardown(() => following.leave());
      return following;
    },
  };
}

t.test('the stream goes on after the number that was seen, and neither loses nor repeats', async (t) => {
  const { append, follow } = await serveStream(t);
  for (let count = 0; count < 1200; count++) await append(TOPIC, `before ${count}`);
  const seen = [0, 100, 101, 1199, 1200];
  const followings = await Promise.all(seen.map((after) => follow('', after)));
  const reading = Promise.all(followings.map((following, index) => following.take(1500 - seen[index]!)));
  for (let count = 0; count < 300; count++) {
    await append(count % 2 === 0 ? TOPIC : OTHER, `meanwhile ${count}`);
    if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  for (const [index, events] of (await reading).entries()) {
    const after = seen[index]!;
    t.strictSame(
      events.map(({ id }) => id),
      numbers(after + 1, 1500),
      `after ${after}`,
    );
  }
});

t.test('what happens just while the past is looked at is told once', async (t) => {
  const { store } = await serve(t, { running: null });
  const { events } = store;
  await events.append(TOPIC, note('past'));
  let looks = 0;
  const unlucky: Pick<typeof events, 'after' | 'follow'> = {
    async after(...asked) {
      // This one is there before the look, and is told to followers after it.
      if (++looks === 1) await events.append(TOPIC, note('before the look'));
      const page = await events.after(...asked);
      if (looks === 1) await events.append(TOPIC, note('after the look'));
      return page;
    },
    follow: (follower) => events.follow((envelope) => setTimeout(() => follower(envelope), 50)),
  };
  const prompt = { ...unlucky, follow: events.follow.bind(events) };
  for (const seen of [unlucky, prompt]) {
    looks = 0;
    const late = Object.assign(Object.create(events) as typeof events, seen);
    const { url } = await serve(t, { running: null }, { store: { ...store, events: late } });
    const after = (await events.after(0, undefined, 100)).at(-1)!.id! - 1;
    const following = await follow(`${url}${EVENTS.path}`, after);
    t.teardown(() => following.leave());
    const ids = (await following.take(3)).map(({ id }) => id);
    await events.append(TOPIC, note('later'));
    ids.push(...(await following.take(1)).map(({ id }) => id));
    t.strictSame(ids, numbers(after + 1, after + 4));
  }
});

t.test('the stream tells of one topic, and of progress to whoever looks', async (t) => {
  const { append, tell, follow } = await serveStream(t);
  await append(TOPIC, 'one');
  await append(OTHER, 'not this');
  const following = await follow(`?topic=${TOPIC}`);
  t.match(await following.take(1), [{ id: 1, topic: TOPIC, event: note('one') }]);
  tell(TOPIC, 'on its way');
  tell(OTHER, 'not this');
  await append(OTHER, 'nor this');
  await append(TOPIC, 'two');
  t.match(await following.take(2), [{ id: null, event: note('on its way') }, { event: note('two') }]);
  const later = await follow(`?topic=${TOPIC}`);
  t.match(await later.take(2), [{ event: note('one') }, { event: note('two') }], 'progress is not kept');
  const after = await follow(`?topic=${TOPIC}&after=1`);
  t.match(await after.take(1), [{ event: note('two') }]);
  await t.rejects(follow('?topic=deployment/99'), { message: 'status 404' });
});

t.test('a long past is read whole, however much it is', async (t) => {
  const { append, follow } = await serveStream(t);
  const long = 'x'.repeat(8000);
  for (let count = 0; count < 900; count++) await append(TOPIC, long);
  const ids = (await (await follow('')).take(900)).map(({ id }) => id);
  t.strictSame(ids, numbers(1, 900));
});

t.test('a viewer that does not read is cut off, and misses nothing when it is back', async (t) => {
  const { append, follow } = await serveStream(t);
  await append(TOPIC, 'first');
  const lazy = await follow('');
  await lazy.take(1);
  const long = 'x'.repeat(50_000);
  // More than the sockets between them hold.
  for (let count = 0; count < 400; count++) {
    await append(TOPIC, long);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await t.rejects(lazy.take(400), 'it was cut');
  const ids = (await (await follow('', 1)).take(400)).map(({ id }) => id);
  t.strictSame(ids, numbers(2, 401));
});

t.test('a deployment can be watched from its first event to its recap', async (t) => {
  const { url, deployer } = await serve(t);
  const id = await deployer.start({ service: 'segmenter', version: NEW, skipChecks: [] }, 'ann');
  const following = await follow(`${url}${EVENTS.path}?topic=${deploymentTopic(id)}`);
  t.teardown(() => following.leave());
  const events: FleetEvent[] = [];
  do {
    const [told] = await following.take(1);
    events.push(told!.event);
  } while (events.at(-1)?.type !== 'deployment.ended');
  const count = (type: FleetEvent['type']) => events.filter((event) => event.type === type).length;
  t.equal(events[0]?.type, 'deployment.started');
  t.equal(count('phase.started'), 4);
  t.equal(count('step.started'), 27);
  t.equal(count('step.ended'), 27);
  t.match(events.at(-1), { recap: { exit: 0, hosts: [{ running: NEW }, {}, {}] } });
});
