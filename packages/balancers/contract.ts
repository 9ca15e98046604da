/**
 * What every balancer must do, whatever it is: hide means that no new request arrives, visible means that requests are
 * answered, and what it says of itself is true.
 */
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Test } from 'tap';
import { type AdminState, type Balancer, isVisible, type NewServer, type ServerState } from './balancer.ts';
import { until } from './servers.fixture.ts';

export interface Subject {
  balancer: Balancer;
  backend: string;
  /** At least two, all of them answering and ready. */
  serverNames: string[];
  /** Where users come in: http://127.0.0.1:PORT. Each server answers with its name, when it has the whole request. */
  url: string;
  stopServer(name: string): Promise<void>;
  startServer(name: string): Promise<void>;
  /** A server that answers, and that the balancer does not have; absent where it takes in nobody while it runs. */
  newcomer?: NewServer;
}

/** `make` gives a fresh subject, and cleans up by `t.teardown`. */
export async function balancerContract(t: Test, make: (t: Test) => Promise<Subject>): Promise<void> {
  async function begin(t: Test) {
    const subject = await make(t);
    const { balancer, backend, serverNames } = subject;
    const agent = new http.Agent({ keepAlive: true });
    t.teardown(() => agent.destroy());
    const [first, second] = serverNames as [string, string];
    const state = async (name: string): Promise<ServerState> =>
      (await balancer.servers(backend)).find((server) => server.name === name)!;
    await until('all are visible', async () => (await balancer.servers(backend)).every(isVisible));
    return {
      ...subject,
      first,
      second,
      state,
      tell: (name: string, admin: AdminState) => balancer.set(backend, name, admin),
      ask: () => ask(subject.url, agent),
      becomesVisible: (name: string) => until(`${name} is visible`, async () => isVisible(await state(name))),
      /** The names that answer a few rounds of requests. */
      async answering() {
        const names = new Set<string>();
        for (let n = 0; n < serverNames.length * 5; n++) names.add((await ask(subject.url, agent)).text);
        return [...names].sort();
      },
    };
  }

  await t.test('it lists its servers, and users reach all of them', async (t) => {
    const { balancer, backend, serverNames, answering } = await begin(t);
    t.strictSame(
      await balancer.servers(backend),
      serverNames.map((name) => ({ name, admin: 'ready', up: true, sessions: 0 })),
    );
    t.strictSame(await answering(), [...serverNames].sort());
  });

  for (const admin of ['drain', 'maint'] as const) {
    await t.test(`${admin} hides one server and no other; ready brings it back`, async (t) => {
      const { first, serverNames, state, tell, answering, becomesVisible } = await begin(t);
      await tell(first, admin);
      t.equal((await state(first)).admin, admin);
      t.strictSame(await answering(), serverNames.filter((name) => name !== first).sort());
      await tell(first, admin);
      t.equal((await state(first)).admin, admin, 'saying it twice is fine');
      await tell(first, 'ready');
      await becomesVisible(first);
      t.strictSame(await answering(), [...serverNames].sort());
    });
  }

  await t.test('each state can follow each other one', async (t) => {
    const { first, state, tell } = await begin(t);
    for (const admin of ['maint', 'drain', 'maint', 'ready', 'drain', 'ready', 'maint', 'ready'] as const) {
      await tell(first, admin);
      t.equal((await state(first)).admin, admin);
    }
  });

  await t.test('a drain lets an open request end, and counts it until then', async (t) => {
    const { first, second, state, tell, url, answering, serverNames } = await begin(t);
    for (const name of serverNames) if (name !== first) await tell(name, 'drain');
    const open = hold(url);
    await until('the session is counted', async () => (await state(first)).sessions === 1);
    await tell(second, 'ready');
    await until('the other is visible', async () => isVisible(await state(second)));
    await tell(first, 'drain');
    t.strictSame(await answering(), [second]);
    t.equal((await state(first)).sessions, 1);
    t.equal(await open.end(), first, 'it was answered by the server that was drained');
    await until('the session has ended', async () => (await state(first)).sessions === 0);
  });

  await t.test('ready is not visible before the server answers', async (t) => {
    const { first, serverNames, state, tell, stopServer, startServer, answering, becomesVisible } =
      await begin(t);
    await tell(first, 'maint');
    await stopServer(first);
    await tell(first, 'ready');
    const end = performance.now() + 1000;
    while (performance.now() < end) {
      const now = await state(first);
      if (now.admin !== 'ready' || isVisible(now)) t.fail('visible, and nothing answers', { found: now });
      await pause(5);
    }
    t.strictSame(await answering(), serverNames.filter((name) => name !== first).sort());
    await startServer(first);
    await becomesVisible(first);
    await until('it answers', async () => isDeepStrictEqual(await answering(), [...serverNames].sort()));
  });

  await t.test('a server that dies is not visible', async (t) => {
    const { first, state, stopServer } = await begin(t);
    await stopServer(first);
    await until('it is seen', async () => !isVisible(await state(first)));
    t.equal((await state(first)).admin, 'ready', 'what it was told is another matter');
  });

  await t.test('what it does not know it refuses by name', async (t) => {
    const { balancer, backend, first, serverNames } = await begin(t);
    const knows = (name: string) => ({ code: 'balancer_unknown', message: new RegExp(`knows.*${name}`) });
    await t.rejects(balancer.servers('nosuch'), knows(backend));
    await t.rejects(balancer.set('nosuch', first, 'drain'), knows(backend));
    await t.rejects(balancer.set(backend, 'nosuch', 'drain'), knows(serverNames.at(-1)!));
    for (const name of [
      '',
      'a b',
      `${first} state maint;set server ${backend}/${first}`,
      `${first}\n`,
      '../x',
    ]) {
      await t.rejects(balancer.set(backend, name, 'maint'), { code: 'balancer_unknown' });
      await t.rejects(balancer.servers(name), { code: 'balancer_unknown' });
    }
    t.strictSame(
      (await balancer.servers(backend)).map(({ admin }) => admin),
      serverNames.map(() => 'ready'),
    );
  });

  await t.test('who is taken in is hidden at first; who cannot be is refused by name', async (t) => {
    const { balancer, backend, first, serverNames, newcomer, state, tell, answering, becomesVisible } =
      await begin(t);
    const stranger = { name: 'stranger', address: '127.0.0.1:1', options: 'check' };
    await t.rejects(balancer.add('nosuch', stranger), { code: /^balancer_(unknown|refused)$/ });
    const { name } = newcomer ?? stranger;
    if (newcomer === undefined) {
      const refused = { code: 'balancer_refused', message: new RegExp(name), next: /\S/ };
      return t.rejects(balancer.add(backend, stranger), refused);
    }
    await balancer.add(backend, newcomer);
    t.equal((await state(name)).admin, 'maint');
    t.strictSame(await answering(), [...serverNames].sort());
    await tell(name, 'ready');
    await becomesVisible(name);
    t.strictSame(await answering(), [...serverNames, name].sort());
    await balancer.add(backend, newcomer);
    t.equal((await state(name)).admin, 'ready', 'one that it has stays as it is');
    await t.rejects(balancer.remove(backend, name), { code: 'balancer_refused', next: new RegExp(name) });
    await tell(name, 'maint');
    await balancer.remove(backend, name);
    await balancer.remove(backend, name);
    t.strictSame(
      (await balancer.servers(backend)).map((server) => server.name),
      serverNames,
    );
    t.strictSame(await answering(), [...serverNames].sort());
    t.ok(isVisible(await state(first)), 'the others are as they were');
  });

  await t.test('servers are restarted one after the other and users notice nothing', async (t) => {
    const { serverNames, state, tell, stopServer, startServer, becomesVisible, ask } = await begin(t);
    const load = startLoad(ask);
    for (const name of serverNames) {
      await tell(name, 'drain');
      await until(`${name} has no sessions`, async () => (await state(name)).sessions === 0);
      await tell(name, 'maint');
      await stopServer(name);
      await startServer(name);
      await tell(name, 'ready');
      await becomesVisible(name);
      const before = load.answeredBy(name);
      await until(`${name} answers again`, async () => load.answeredBy(name) > before);
    }
    const { answered, failures } = await load.stop();
    t.strictSame(failures, [], `${answered} requests`);
  });
}

async function ask(url: string, agent: http.Agent): Promise<{ status: number; text: string }> {
  return readAnswer(http.get(url, { agent }));
}

async function readAnswer(request: http.ClientRequest): Promise<{ status: number; text: string }> {
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode!, text };
}

/** A request that lasts until it is ended; then gives what answered it. */
function hold(url: string): { end(): Promise<string> } {
  const request = http.request(url, { method: 'POST', agent: false });
  const answer = readAnswer(request);
  answer.catch(() => {});
  request.write('a beginning');
  return {
    async end() {
      request.end();
      return (await answer).text;
    },
  };
}

/** Four users who ask, each over a connection that is kept, until stopped. */
function startLoad(ask: () => Promise<{ status: number; text: string }>) {
  const answers = new Map<string, number>();
  const failures: string[] = [];
  let going = true;
  async function user() {
    while (going) {
      try {
        const { status, text } = await ask();
        if (status === 200) answers.set(text, (answers.get(text) ?? 0) + 1);
        else failures.push(`${status} ${text}`);
      } catch (error) {
        failures.push(String(error));
      }
    }
  }
  const users = Promise.all([user(), user(), user(), user()]);
  return {
    answeredBy: (name: string) => answers.get(name) ?? 0,
    async stop() {
      going = false;
      await users;
      return { answered: [...answers.values()].reduce((sum, n) => sum + n, 0), failures };
    },
  };
}
