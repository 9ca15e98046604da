/**
 * Every route and every message, asked by everybody there is, on both endpoints of a controller. The rows are the tables that
 * dispatch, and what each cell has to be follows from `access` and `from` in them and from what the caller has by right.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { helloFrom } from '@fleet/link/pair.fixture.ts';
import { mayAct } from '@fleet/protocol/access.ts';
import { DOCS, EVENTS, ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { MESSAGES, type Message } from '@fleet/protocol/messages/methods.ts';
import { keyPairFrom } from '@fleet/trust/keys.ts';
import t, { type Test } from 'tap';
import { CALLS, joining } from '../../controller/api/calls.fixture.ts';
import { watchRows } from '../../controller/api/edge.fixture.ts';
import { fleets } from '../../controller/deploy/fleet.fixture.ts';
import { tokenOf } from '../../controller/enrol/enrolment.fixture.ts';
import { openAuthority } from '../../controller/trust/authority.ts';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { type Answer, askOverLink, askRoute } from './asking.ts';
import { type Caller, everybody, strangers } from './callers.ts';
import { type Controller, type Endpoint, openController } from './controller.ts';

/** A route that does not say who may ask, or a message that does not say who may send it, does not compile. */
type Says<T, K extends keyof T> = undefined extends T[K] ? false : true;
export const TABLES_SAY: [Says<Route, 'access'>, Says<Message, 'from'>] = [true, true];

interface Row {
  name: string;
  /** Undefined for what is in no table. */
  access: Route['access'] | undefined;
  method?: string;
  good: { path: string; body?: unknown };
  /** Asked for by those who may: so nothing that others ask about changes. */
  absent: { path: string; body?: unknown };
}

const same = (path: string) => ({ good: { path }, absent: { path } });
const ROWS: Row[] = [
  ...(Object.entries(ROUTES) as Array<[RouteName, Route]>).map(([name, { access, method }]) => {
    const { good, unknown: absent = good } = CALLS[name];
    return { name, access, method, good, absent };
  }),
  { name: 'events', access: EVENTS.access, ...same(`${EVENTS.path}?topic=deployment/1`) },
  { name: 'docs', access: DOCS.access, ...same(`${DOCS.path}/json`) },
  { name: 'what there is not', access: undefined, ...same('/api/nothing') },
  { name: 'what there is not, to be changed', access: undefined, method: 'POST', ...same('/api/nothing') },
];
/** Of a service, wherever it runs: a scope that says no more than the environment takes it in. */
const OF_NO_ENVIRONMENT = ['builds.start', 'builds.show', 'releases.list', 'signatures.add'];

/** Of what release stands in what comes with it, and is asked there. */
const ASKED_LATER = 'releases.push';

/** What a fleet of the tests has, and a narrower scope must not be told of. */
const KEPT_FROM = { services: 'segmenter', environments: 'production' };

/** What somebody gets, who may have something else to show than a token: a word for a refusal, or `let in`. */
function gets(answer: Answer | { said: string } | undefined, proof: boolean): string {
  if (answer === undefined) return 'cut off';
  if ('said' in answer) return answer.said;
  const { status, text } = answer;
  const { code = '' } = (text.startsWith('{') ? JSON.parse(text) : {}) as { code?: string };
  if (status === 404 && (code === '' || code === 'bad_request')) return 'nothing here';
  if (proof && ['bad_token', 'not_enrolled'].includes(code)) return 'not proven';
  return ['unauthenticated', 'forbidden', 'too_many', 'internal'].includes(code) ? code : 'let in';
}

function ofRoute(
  { certified, role, scope, proves }: Caller,
  endpoint: Endpoint,
  { name, access }: Row,
): string {
  if (endpoint === 'agents') return certified ? 'nothing here' : 'cut off';
  if (access === 'key') return proves ? 'let in' : 'not proven';
  if (role === null) return 'unauthenticated';
  if (access === undefined) return 'nothing here';
  if (!mayAct(role, access)) return 'forbidden';
  return isOutside(scope, name) ? 'nothing of it' : 'let in';
}

function isOutside({ services, environments }: Caller['scope'], name: string): boolean {
  if (name === ASKED_LATER) return false;
  if (services) return true;
  return Boolean(environments) && !OF_NO_ENVIRONMENT.includes(name);
}

/** Of what is out of scope, a list tells nothing, and all else is refused. */
function tellsNothing({ scope }: Caller, answer: Answer | undefined): boolean {
  if (gets(answer, false) === 'forbidden') return true;
  const [kept] = Object.keys(scope) as Array<keyof typeof KEPT_FROM>;
  return answer?.status === 200 && kept !== undefined && !answer.text.includes(KEPT_FROM[kept]);
}

function ofMessage({ certified, host, says, role }: Caller, endpoint: Endpoint, name: keyof typeof MESSAGES) {
  // No link begins there: it is a path like any other that there is not.
  if (endpoint === 'people') return role === null ? 'unauthenticated' : 'nothing here';
  if (!certified) return 'cut off';
  if (host === null) return 'not proven';
  if (MESSAGES[name].from !== 'agent') return 'unknown_method';
  return name === 'hello' && says !== host ? 'not_enrolled' : 'let in';
}

/** Every host's own, always: so that its second hello says nothing new. */
const INSTANCE = '00000000-0000-4000-8000-000000000000';

/** Asks for every route and message on both endpoints; each caller's answers are one assertion. */
async function askAll(
  t: Test,
  { ports, state, idle }: Pick<Controller, 'ports' | 'state' | 'idle'>,
  callers: Record<string, Caller>,
): Promise<void> {
  let cells = 0;
  let known = state();

  /** What it got; and that all is as it was, where that was a refusal. */
  async function cell(expected: string, ask: () => Promise<string>): Promise<string> {
    cells += 1;
    const got = await ask();
    if (got === 'let in') await idle();
    const before = known;
    known = state();
    const isKept = known === before || (got === 'let in' && expected === got);
    return isKept ? got : `${got}, and something has changed`;
  }

  for (const [who, caller] of Object.entries(callers)) {
    const expected: Record<string, string> = {};
    const got: Record<string, string> = {};
    for (const [endpoint, port] of Object.entries(ports) as Array<[Endpoint, number]>) {
      for (const row of ROWS) {
        const at = `${row.name} on the endpoint for ${endpoint}`;
        const right = ofRoute(caller, endpoint, row);
        expected[at] = right;
        got[at] = await cell(right, async () => {
          const answer = await askRoute(port, caller, callOf(row, caller, right));
          if (right === 'nothing of it' && tellsNothing(caller, answer)) return right;
          return gets(answer, row.access === 'key');
        });
      }
      for (const name of Object.keys(MESSAGES) as Array<keyof typeof MESSAGES>) {
        const at = `the message ${name} on the endpoint for ${endpoint}`;
        const right = ofMessage(caller, endpoint, name);
        expected[at] = right;
        got[at] = await cell(right, async () =>
          gets(await askOverLink(port, caller, messagesOf(name, caller)), true),
        );
      }
    }
    t.strictSame(got, expected, who);
  }
  t.comment(`${cells} cells`);
}

function callOf({ method, good, absent }: Row, { proves }: Caller, right: string) {
  const { path, body } = proves || (right !== 'let in' && right !== 'not proven') ? good : absent;
  // The fleet of this test has one deployment.
  return { method, path: path.replace(/deployments\/[45]\b/, 'deployments/1'), body };
}

/** Nothing is answered before a hello. Whether a message is known is asked before its body is looked at. */
function messagesOf(name: keyof typeof MESSAGES, { host, says }: Caller) {
  const hello = (from: string) => ({ method: 'hello', body: helloFrom(from, { instance: INSTANCE }) });
  return name === 'hello' ? [hello(says)] : [hello(host ?? says), { method: name, body: {} }];
}

const CONFIG = 'data: ./data\nservices: {}\nenvironments: {}\n';
t.test('by strangers, of a controller as it is started', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-matrix-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const fleet = await LocalFleet.create({ dir, secure: true, hosts: [], config: CONFIG });
  t.teardown(() => fleet.stop());
  await fleet.start();
  const file = (name: string) => readFileSync(join(dir, name), 'utf8');
  const keys = keyPairFrom(file('data/trust/ca.key'), 'ca.key');
  const authority = await openAuthority(keys, file('data/trust/ca.pem'), Date.now);
  const ports = {
    people: Number(new URL(fleet.url).port),
    agents: Number(/^listen_agents: .*:(\d+)$/m.exec(file('controller.yaml'))?.[1]),
  };
  const state = watchRows(t, join(dir, 'data/fleet.sqlite'));
  await askAll(t, { ports, state, idle: async () => {} }, await strangers(authority));
});

t.test('routes and messages, by everybody, on both endpoints', async (t) => {
  const makeFleet = await fleets(t);
  const on = await openController(t, await makeFleet(t));
  const callers = await everybody(on);
  joining.token = await tokenOf(on.enrolment);
  await on.store.builds.begin('segmenter', 'main');
  await askAll(t, on, callers);
});
