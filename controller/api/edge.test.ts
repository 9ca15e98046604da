/** Who is let in: every route of the table, asked by everybody there is. */
import { readFileSync } from 'node:fs';
import { ROLES, type Scope } from '@fleet/protocol/access.ts';
import { DOCS, EVENTS, ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { fleets } from '../deploy/fleet.fixture.ts';
import { People } from '../people/people.ts';
import { Sessions, SWEEP_MS } from '../people/sessions.ts';
import { buildTopic, deploymentTopic } from '../store/events.ts';
import { asked as deploymentOf, note } from '../store/samples.fixture.ts';
import { ask, CALLS } from './calls.fixture.ts';
import { type Guarded, guard, HERE } from './edge.fixture.ts';
import { guardEdge } from './edge.ts';
import { follow } from './stream.fixture.ts';

const makeFleet = await fleets(t);
const LIST = Object.entries(ROUTES) as Array<[RouteName, Route]>;
const GUARDED = LIST.filter(([, { access }]) => access !== 'key');
const ELSEWHERE = { services: ['other'], environments: ['other'] };

/** How far a scope has to reach: this stands here once more, so that one who changes it has to mean it. */
const REACHED: Record<
  RouteName,
  'listed' | 'named' | 'host' | 'service' | 'place' | 'whole' | 'everywhere' | 'own' | 'given' | 'key'
> = {
  'status.show': 'named',
  'hosts.list': 'listed',
  'hosts.show': 'host',
  'hosts.examine': 'host',
  'hosts.forget': 'whole',
  'hosts.out': 'host',
  'hosts.in': 'host',
  'hosts.remove': 'whole',
  'hosts.approve': 'whole',
  'hosts.revoke': 'whole',
  'identities.list': 'whole',
  'joining.create': 'whole',
  'joining.list': 'whole',
  'joining.revoke': 'whole',
  'profiles.list': 'whole',
  'profiles.show': 'whole',
  'agents.join': 'key',
  'agents.certify': 'key',
  'logs.read': 'place',
  'builds.start': 'service',
  'builds.show': 'service',
  'releases.list': 'service',
  'releases.push': 'own',
  'plans.make': 'place',
  'deployments.start': 'place',
  'deployments.rollback': 'place',
  'deployments.list': 'service',
  'deployments.show': 'place',
  'deployments.pause': 'place',
  'deployments.resume': 'place',
  'deployments.abort': 'place',
  'deployments.skip': 'place',
  'deployments.retry': 'place',
  'deployments.output': 'place',
  'trust.show': 'own',
  'trust.key': 'whole',
  'trust.replace': 'whole',
  'floors.list': 'own',
  'floors.set': 'everywhere',
  'signatures.add': 'service',
  'programs.list': 'whole',
  'programs.fetch': 'whole',
  'rehearsals.begin': 'whole',
  'rehearsals.end': 'whole',
  'rehearsals.list': 'whole',
  'rehearsals.show': 'whole',
  'backups.start': 'whole',
  'backups.show': 'whole',
  'people.me': 'own',
  'people.list': 'listed',
  'people.add': 'given',
  'people.revoke': 'own',
  'audit.list': 'whole',
  'audit.verify': 'whole',
};

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const codeOf = (json: unknown) => (json as { code?: string } | undefined)?.code;

async function scene(t: Test): Promise<Guarded> {
  const fleet = await makeFleet(t);
  const { store } = await fleet.controller();
  await store.builds.begin('segmenter', 'main');
  return guard(t, fleet);
}

/** What somebody gets who asks for one route: the code of the refusal, or undefined where it was let in. */
async function codeFor(on: Guarded, name: RouteName, token: string, unknown = false) {
  const { good, unknown: absent = good } = CALLS[name];
  const { path, body } = unknown ? absent : good;
  const { json } = await ask(on.port, {
    method: ROUTES[name].method,
    // The scene has one deployment.
    path: path.replace(/deployments\/[45]\b/, 'deployments/1'),
    body,
    headers: bearer(token),
  });
  const code = codeOf(json);
  return code === 'unauthenticated' || code === 'forbidden' || code === 'too_many' ? code : undefined;
}

t.test('whoever is not known gets one answer, whatever is asked for', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const expired = await on.give('admin', { expires: new Date(on.clock.now).toISOString() });
  const revoked = await on.give('admin', { name: 'bob' });
  await store.tokens.revoke('bob');
  const good = await on.give('admin');
  const nobody: Record<string, Record<string, string>> = {
    'no token': {},
    garbage: bearer('secret'),
    'a token of nobody': bearer(`fleet_${'0'.repeat(16)}_${'A'.repeat(43)}`),
    'the id of a good one with another secret': bearer(`${good.slice(0, 23)}${'A'.repeat(43)}`),
    'a good one that was cut': bearer(good.slice(0, -1)),
    'a good one, twice': bearer(`${good} ${good}`),
    'a good one by another scheme': { authorization: `Basic ${good}` },
    'a good one in another header': { 'x-fleet-by': good, cookie: `token=${good}` },
    'a join token': bearer(`fleetjoin_${'0'.repeat(16)}_${'A'.repeat(43)}`),
    expired: bearer(expired),
    revoked: bearer(revoked),
  };
  const paths = [
    EVENTS.path,
    DOCS.path,
    `${DOCS.path}/json`,
    `${DOCS.path}/static/index.html`,
    '/',
    '/api',
    '/nothing',
  ];
  const calls = [
    ...GUARDED.map(([name, { method }]) => ({ method, ...CALLS[name].good })),
    ...paths.map((path) => ({ path })),
    { method: 'POST', path: '/api/status', body: {} },
    { method: 'HEAD', path: '/api/status' },
    { method: 'OPTIONS', path: '/api/status' },
    { path: `/api/status?token=${good}` },
    { path: '/api/hosts/%zz' },
    { method: 'POST', path: '/api/plans', raw: '{"service":' },
    { method: 'POST', path: '/api/plans', raw: 'x'.repeat(2_000_000) },
  ];
  const before = on.state();
  for (const [who, headers] of Object.entries(nobody)) {
    // So many refusals would be too many for one address within a minute: each has an API of its own.
    for (let from = 0; from < calls.length; from += 50) {
      const { port } = await guard(t, on.fleet);
      for (const call of calls.slice(from, from + 50)) {
        const { status, json } = await ask(port, { ...call, headers });
        const what = `${who}: ${'method' in call ? call.method : 'GET'} ${call.path}`;
        t.equal(status, 401, what);
        if ('method' in call && call.method === 'HEAD') continue;
        t.strictSame(
          json,
          {
            code: 'unauthenticated',
            message: 'no token, or one that is unknown, expired or revoked',
            next: 'fleet login with the string of `fleet people add`, which whoever has the role admin can make',
            data: {},
          },
          what,
        );
      }
    }
  }
  t.equal(on.state(), before, 'nothing is different');
  t.strictSame(await store.audit.list({ limit: 10 }), [], 'and nobody can fill the audit log');
});

t.test('each role may what stands beside the route, and no more', async (t) => {
  for (const role of ROLES) {
    const on = await scene(t);
    const token = await on.give(role);
    for (const [name, { access }] of GUARDED) {
      const may = access !== 'key' && ROLES.indexOf(role) >= ROLES.indexOf(access);
      const before = on.state();
      // What is let in is asked for what there is not, so that the scene stays as it is.
      const code = await codeFor(on, name, token, may);
      t.equal(code, may ? undefined : 'forbidden', `${role}: ${name}`);
      if (!may) t.equal(on.state(), before, `${role}: ${name} changes nothing`);
      await on.fleet.controller().then(({ deployer }) => deployer.idle());
    }
    const pages = [EVENTS.path, `${DOCS.path}/json`];
    t.equal((await ask(on.port, { path: pages[1]!, headers: bearer(token) })).status, 200);
    t.equal((await ask(on.port, { path: '/nothing', headers: bearer(token) })).status, 404);
  }
});

t.test('who deploys does not replace fleet itself', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const id = await store.deployments.begin({
    ...{ kind: 'deploy', service: 'fleet-agent', environment: 'fleet', by: 'ann', why: null },
    request: {},
  });
  const body = { service: 'fleet-agent', version: '0.1.0', to: '0.1.0' };
  for (const role of ['deployer', 'approver', 'admin'] as const) {
    const headers = bearer(await on.give(role));
    for (const [path, asked] of [
      ['/api/deployments', { ...body, to: undefined }],
      ['/api/rollbacks', { ...body, version: undefined }],
      [`/api/deployments/${id}/retry`, {}],
    ] as const) {
      const before = on.state();
      const { json } = await ask(on.port, { method: 'POST', path, headers, body: asked });
      if (role === 'admin') t.not(codeOf(json), 'forbidden', path);
      else t.equal(codeOf(json), 'forbidden', `${role}: ${path}`);
      t.equal(on.state(), before);
    }
  }
});

t.test('a scope reaches as far as it says', async (t) => {
  const scopes: Record<string, Partial<Scope>> = {
    'another service': { services: ELSEWHERE.services },
    'another environment': { environments: ELSEWHERE.environments },
    'the service and environment': HERE,
  };
  for (const [who, scope] of Object.entries(scopes)) {
    const on = await scene(t);
    const token = await on.give('admin', scope);
    for (const [name] of GUARDED) {
      const reached = REACHED[name];
      const ofOtherService = scope.services === ELSEWHERE.services;
      const ofOtherEnvironment = scope.environments === ELSEWHERE.environments;
      const may = {
        listed: true,
        own: true,
        given: false,
        named: !ofOtherService,
        service: !ofOtherService,
        host: !ofOtherService && !ofOtherEnvironment,
        place: !ofOtherService && !ofOtherEnvironment,
        whole: false,
        everywhere: !ofOtherService && scope.environments === undefined,
        key: true,
      }[reached];
      const before = on.state();
      const code = await codeFor(on, name, token);
      t.equal(code, may ? undefined : 'forbidden', `${who}: ${name}`);
      if (!may) t.equal(on.state(), before, `${who}: ${name} changes nothing`);
      await on.fleet.controller().then(({ deployer }) => deployer.idle());
    }
    if (who === 'the service and environment') continue;
    for (const path of ['/api/status', '/api/hosts', '/api/deployments', '/api/releases']) {
      if (path === '/api/releases' && scope.services === undefined) continue;
      const { status, json } = await ask(on.port, { path, headers: bearer(token) });
      t.equal(status, 200, path);
      t.notMatch(JSON.stringify(json), '"segmenter"', `${who}: ${path} tells nothing of it`);
    }
    for (const topic of [deploymentTopic(1), ...(scope.services ? [buildTopic(1)] : [])]) {
      const { status } = await ask(on.port, {
        path: `${EVENTS.path}?topic=${topic}`,
        headers: bearer(token),
      });
      t.equal(status, 403, `${who}: ${topic}`);
    }
  }
});

t.test('what is in no table is let in for nobody', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const app = Fastify();
  const people = new People({ tokens: store.tokens, now: () => on.clock.now });
  await guardEdge(app, { people, audit: store.audit }, { development: false, origins: [] });
  app.get('/forgotten', async () => 'a route without a row');
  app.setErrorHandler((error, _request, reply) => void reply.status(403).send(error));
  t.teardown(() => app.close());
  const headers = bearer(await on.give('admin'));
  const { statusCode } = await app.inject({ url: '/forgotten', headers });
  t.equal(statusCode, 403);
});

t.test('nobody can give or end more than they have', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const all = bearer(await on.give('admin', { name: 'root' }));
  const narrow = bearer(await on.give('admin', { name: 'narrow', ...HERE }));
  const add = (headers: Record<string, string>, body: object) =>
    ask(on.port, { method: 'POST', path: '/api/people', headers, body: { role: 'viewer', ...body } });
  for (const scope of [
    {},
    { services: HERE.services },
    { environments: HERE.environments },
    { ...HERE, services: ['segmenter', 'other'] },
  ]) {
    const { json } = await add(narrow, { name: 'eve', ...scope });
    t.equal(codeOf(json), 'forbidden', JSON.stringify(scope));
  }
  t.equal((await add(narrow, { name: 'ann', ...HERE })).status, 200);
  t.equal((await add(all, { name: 'bob', role: 'deployer' })).status, 200);
  t.equal(codeOf((await add(all, { name: 'bob' })).json), 'person_exists');
  t.equal(codeOf((await add(all, { name: 'fleet' })).json), 'person_exists', 'who catches hosts up');
  const names = async (headers: Record<string, string>) =>
    ((await ask(on.port, { path: '/api/people', headers })).json as Array<{ name: string }>).map(
      (each) => each.name,
    );
  t.strictSame(await names(narrow), ['ann', 'narrow']);
  t.strictSame(await names(all), ['ann', 'bob', 'narrow', 'root']);
  const end = (headers: Record<string, string>, name: string) =>
    ask(on.port, { method: 'DELETE', path: `/api/people/${name}`, headers });
  for (const name of ['root', 'bob']) t.equal(codeOf((await end(narrow, name)).json), 'forbidden', name);
  t.strictSame((await end(all, 'narrow')).json, { revoked: true, gave: ['ann'] });
  t.equal((await end(narrow, 'ann')).status, 401, 'whoever was cut off ends nobody');
  t.equal((await store.tokens.list()).length, 3);
});

t.test('event streams end with their token, and others go on', async (t) => {
  t.ok(SWEEP_MS < 5000, 'it is looked often enough');
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const admin = bearer(await on.give('admin'));
  const opened = async (token: string) => {
    const following = await follow(`${on.url}${EVENTS.path}`, undefined, bearer(token));
    t.teardown(() => following.leave());
    const ended = Promise.withResolvers<void>();
    void following.take(1000).catch(() => ended.resolve());
    return ended.promise;
  };
  const byRoute = opened(await on.give('viewer', { name: 'ann' }));
  const fromOutside = opened(await on.give('viewer', { name: 'bob' }));
  const byTime = opened(
    await on.give('viewer', { name: 'carl', expires: new Date(on.clock.now + 60_000).toISOString() }),
  );
  const last = (await store.events.after(0, undefined, 10_000)).at(-1)?.id ?? undefined;
  const stays = await follow(`${on.url}${EVENTS.path}`, last, bearer(await on.give('viewer')));
  t.teardown(() => stays.leave());
  await ask(on.port, { method: 'DELETE', path: '/api/people/ann', headers: admin });
  await byRoute;
  await store.tokens.revoke('bob');
  await fromOutside;
  on.clock.now += 60_000;
  await byTime;
  await store.events.append(deploymentTopic(1), note('still there'));
  const [event] = await stays.take(1);
  t.match(event, { event: { text: 'still there' } });
});

t.test('sessions are ended by the clock alone', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const people = new People({ tokens: store.tokens, now: () => on.clock.now });
  const sessions = new Sessions(people);
  const expires = new Date(on.clock.now + 5000).toISOString();
  const { token } = await people.authenticate(`Bearer ${await on.give('viewer', { expires })}`);
  let ended = 0;
  const close = sessions.open(token!, () => ended++);
  on.clock.now += 4999;
  await sessions.sweep();
  t.equal(ended, 0);
  on.clock.now += 1;
  await sessions.sweep();
  t.equal(ended, 1);
  close();
  for (let count = 0; count < 64; count++) sessions.open(token!, () => {});
  t.throws(() => sessions.open(token!, () => {}), { code: 'too_many' });
});

t.test('a stream tells of what is in scope alone, in order', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const other = await store.deployments.begin({ ...deploymentOf, service: 'other' });
  const elsewhere = await store.deployments.begin({ ...deploymentOf, environment: 'staging' });
  const token = await on.give('viewer', HERE);
  const last = (await store.events.after(0, undefined, 10_000)).at(-1)?.id ?? 0;
  const tell = async (text: string) => {
    for (const id of [1, other, elsewhere, 1])
      await store.events.append(deploymentTopic(id), note(`${text} of ${id}`));
    store.events.tell(deploymentTopic(other), note('progress of another'));
    store.events.tell(deploymentTopic(1), note(`${text}: progress`));
  };
  await tell('past');
  const following = await follow(`${on.url}${EVENTS.path}`, last, bearer(token));
  t.teardown(() => following.leave());
  const texts = (envelopes: Awaited<ReturnType<typeof following.take>>) =>
    envelopes.map(({ event }) => (event.type === 'note' ? event.text : event.type));
  t.strictSame(texts(await following.take(2)), ['past of 1', 'past of 1']);
  await tell('new');
  t.strictSame(texts(await following.take(3)), ['new of 1', 'new of 1', 'new: progress']);
});

t.test('no change by GET', async (t) => {
  const on = await scene(t);
  const headers = bearer(await on.give('admin'));
  for (const [name, { method }] of GUARDED) {
    if (method !== 'GET') continue;
    const before = on.state();
    await ask(on.port, { ...CALLS[name].good, headers });
    t.equal(on.state(), before, name);
  }
  t.strictSame(await (await on.fleet.controller()).store.audit.list({ limit: 5 }), []);
});

t.test('a page of another site cannot ask, nor disguise what it sends', async (t) => {
  const on = await scene(t);
  const token = bearer(await on.give('admin'));
  const body = JSON.stringify({ service: 'segmenter' });
  const json = { 'content-type': 'application/json' };
  const refused: Array<[Record<string, string>, number]> = [
    [{ ...json, origin: 'https://evil.example' }, 403],
    [{ ...json, origin: 'null' }, 403],
    [{ ...json, origin: 'https://fleet.example.evil.example' }, 403],
    [{ ...json, origin: 'http://fleet.example' }, 403],
    [{ ...json, origin: 'https://fleet.example:444' }, 403],
    ...[
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain',
      'application/json\tx',
      'application/json; charset=utf-8',
      'application/json ',
      'Application/JSON',
      'text/plain; application/json',
      'application/jsonx',
    ].flatMap(
      (type): Array<[Record<string, string>, number]> =>
        type === 'application/json ' ? [] : [[{ 'content-type': type }, 400]],
    ),
  ];
  const before = on.state();
  for (const [name, { method }] of GUARDED) {
    if (method === 'GET') continue;
    const { path, body: good } = CALLS[name].good;
    for (const [headers, expected] of refused) {
      const raw = good === undefined ? body : JSON.stringify(good);
      const { status } = await ask(on.port, { method, path, raw, headers: { ...token, ...headers } });
      t.equal(status, expected, `${name}: ${JSON.stringify(headers)}`);
    }
  }
  t.equal(on.state(), before);
  const from = (origin: string) => ask(on.port, { path: '/api/me', headers: { ...token, origin } });
  t.equal((await from('https://fleet.example')).status, 200, 'one that is named may');
});

t.test('every answer says that no page may show or run it', async (t) => {
  const on = await scene(t);
  const token = bearer(await on.give('viewer'));
  for (const [path, headers] of [
    ['/api/me', {}],
    ['/api/me', token],
    ['/nothing', token],
    [`${DOCS.path}/`, token],
    [`${DOCS.path}/static/swagger-ui.css`, token],
    ['/api/people', token],
  ] as const) {
    const answer = await ask(on.port, { path, headers });
    const policy = String(answer.headers['content-security-policy']);
    t.match(policy, "default-src 'none'", path);
    t.match(policy, "frame-ancestors 'none'");
    t.notMatch(policy, 'unsafe');
    t.match(answer.headers, {
      'strict-transport-security': /max-age=\d{8}/,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    });
    t.equal(answer.headers['set-cookie'], undefined, 'no session that could be fixed');
  }
});

t.test('whoever guesses is stopped, and nobody else', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const statuses = new Map<number | undefined, number>();
  for (let tries = 0; tries < 100; tries++) {
    const { status } = await ask(on.port, { path: '/api/me', headers: bearer(`guess${tries}`) });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  t.strictSame(
    [...statuses],
    [
      [401, 60],
      [429, 40],
    ],
  );
  const viewer = bearer(await on.give('viewer'));
  t.equal(
    (await ask(on.port, { path: '/api/me', headers: viewer })).status,
    200,
    'a good token from there is let in',
  );
  for (let tries = 0; tries < 70; tries++) await ask(on.port, { path: '/api/people', headers: viewer });
  t.equal((await store.audit.list({ limit: 1000 })).length, 60, 'refusals cannot fill the audit log');
});

t.test('a token is nowhere but with whom it was given to', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const admin = await on.give('admin');
  const { json } = await ask(on.port, {
    method: 'POST',
    path: '/api/people',
    headers: bearer(admin),
    body: { name: 'ann', role: 'viewer' },
  });
  const { token } = json as { token: string };
  for (const name of ['people.me', 'deployments.start', 'people.add'] as const)
    await codeFor(on, name, token);
  for (const headers of [bearer(`${token}x`), { authorization: token }])
    await ask(on.port, { path: '/api/me', headers });
  const copy = `${t.testdir()}/copy.sqlite`;
  await store.copyTo(copy);
  for (const secret of [admin, token].map((each) => each.slice(23))) {
    const places = { database: readFileSync(copy, 'latin1'), log: on.logged() };
    for (const [where, text] of Object.entries(places)) {
      t.ok(text.length > 100, where);
      for (const form of [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)])
        t.notOk(text.includes(form), where);
    }
  }
  t.match(await store.tokens.list(), [{ name: 'admin-1' }, { name: 'ann', lastUsed: String }]);
});

t.test('a secret that somebody writes into a reason is not in the audit log', async (t) => {
  const on = await scene(t);
  const { store, deps } = await on.fleet.controller();
  deps.secrets.known.learn('database', 'correct-horse-battery');
  const body = { why: 'the password is correct-horse-battery' };
  const headers = bearer(await on.give('deployer'));
  const path = '/api/deployments/1/abort';
  t.equal(codeOf((await ask(on.port, { method: 'POST', path, body, headers })).json), 'not_running');
  const rows = await store.audit.list({ limit: 10 });
  t.match(rows, [{ outcome: 'failed' }, { outcome: 'asked', details: { id: 1, why: /^the password is / } }]);
  t.notMatch(JSON.stringify(rows), 'correct-horse-battery');
});

t.test('the last use is noted within a minute, and at most that often', async (t) => {
  const on = await scene(t);
  const { store } = await on.fleet.controller();
  const headers = bearer(await on.give('viewer', { expires: null }));
  const used = async () => {
    await ask(on.port, { path: '/api/me', headers });
    return Date.parse((await store.tokens.list())[0]?.lastUsed ?? '') - start;
  };
  const start = on.clock.now;
  t.equal(await used(), 0);
  on.clock.now += 59_000;
  t.equal(await used(), 0);
  on.clock.now += 1000;
  t.equal(await used(), 60_000);
});
