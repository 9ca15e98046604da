/**
 * Catching up: a host that is not where its environment is gets a deployment of its own, by `fleet`, as soon as nobody else
 * deploys there. What is done is an ordinary deployment; here is only decided whether.
 */
import type { Standing } from '@fleet/protocol/api/standing.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { fillTemplate, hostsOf, isRehearsal, type Placed, placesOn } from '../config/config.ts';
import type { DeploymentRecord } from '../store/deployments.ts';
import type { HiddenHost } from '../store/hidden.ts';
import type { HostRecord } from '../store/hosts.ts';
import { type Due, environmentVersion, judge, type Last, type Member, type Verdict } from './behind.ts';
import { within } from './clock.ts';
import type { Deps } from './context.ts';
import type { Deployer } from './deployer.ts';
import { finalReport } from './facts.ts';
import { settings as settingsForm } from './settings.ts';

/** Who the history says has asked. */
export const FLEET = 'fleet';
/** Between two looks where nothing has happened. */
const EVERY_MS = 30_000;
/** A host that has said hello is connected a moment later, and others may come at the same time. */
const SOON_MS = 500;
const REPORT_MS = 5000;

export class CatchUp {
  readonly #deps: Deps;
  readonly #deployer: Pick<Deployer, 'catchUp'>;
  #woken = new AbortController();
  /** What is known of a deployment that has ended does not change. */
  readonly #lasts = new Map<string, Last>();
  readonly #standings = new Map<string, { wanted: string | null; standing: Standing | null }>();

  constructor(deps: Deps, deployer: Pick<Deployer, 'catchUp'>) {
    this.#deps = deps;
    this.#deployer = deployer;
  }

  /** As it was at the last look; undefined before the first one. */
  standingOf(placed: Pick<Placed, 'service' | 'environment'>, host: string) {
    return this.#standings.get(keyOf(placed, host));
  }

  /** What a whole environment is on, asked now; null where nothing was deployed, or nobody knows. */
  async versionOf(placed: Placed): Promise<string | null> {
    const last = await this.#lastOf(placed);
    if (last === undefined) return null;
    const seen = environmentVersion(last, await this.#membersOf(placed, last), '');
    return 'version' in seen ? seen.version : null;
  }

  /** Something has happened that may let a host catch up. */
  wake(): void {
    this.#woken.abort();
  }

  /** Goes on until the controller parks. */
  async run(): Promise<void> {
    const { clock, log, parking, store } = this.#deps;
    const unfollow = store.events.follow(({ event }) => {
      if (event.type === 'deployment.ended') this.wake();
    });
    // Agents of a controller that has just started are on their way back: what is thought of them before is not true.
    await clock.sleep(Math.max(0, this.#deps.settledAt - clock.now()), parking).catch(() => {});
    while (!parking.aborted) {
      this.#woken = new AbortController();
      await this.look().catch((error: unknown) => {
        log.warn(
          { code: asFleetError(error).code },
          `not known who is behind: ${asFleetError(error).message}`,
        );
      });
      const woken = AbortSignal.any([this.#woken.signal, parking]);
      await clock.sleep(EVERY_MS, woken).catch(() => {});
      if (this.#woken.signal.aborted) await clock.sleep(SOON_MS, parking).catch(() => {});
    }
    unfollow();
  }

  /** Looks at every place of every host, and begins what is due. */
  async look(): Promise<void> {
    const { config, store } = this.#deps;
    const busy = await this.#busy();
    for (const host of await store.hosts.list()) {
      if (isRehearsal(host) || busy.has(host.host)) continue;
      for (const placed of placesOn(config, host)) {
        if (this.#deps.parking.aborted) return;
        // In the order of controller.yaml, one after the other.
        if (this.#isOn(placed) && (await this.#lookAt(placed, host, false)) !== null) break;
      }
    }
  }

  /** For a host that a person has let in: also where nobody catches up by itself. Gives the deployments that have begun. */
  async ask(host: string): Promise<Array<{ placed: Placed; verdict: Verdict; deployment: number | null }>> {
    const { config, store } = this.#deps;
    const record = (await store.hosts.list()).find((each) => each.host === host);
    const asked = [];
    for (const placed of record === undefined ? [] : placesOn(config, record)) {
      const verdict = await this.#verdictOf(placed, record!);
      const deployment = verdict.is === 'due' ? await this.#begin(placed, host, verdict) : null;
      asked.push({ placed, verdict, deployment });
    }
    this.wake();
    return asked;
  }

  #isOn({ catch_up }: Placed): boolean {
    return catch_up ?? !this.#deps.config.development;
  }

  /** Hosts that catch up now. */
  async #busy(): Promise<Set<string>> {
    const { deployments } = this.#deps.store;
    const running = (await deployments.unfinished()).filter(({ apart }) => apart === 'catching_up');
    return new Set(running.flatMap(hostsAsked));
  }

  async #lookAt(placed: Placed, host: HostRecord, asked: boolean): Promise<number | null> {
    const verdict = await this.#verdictOf(placed, host);
    const lock = (await this.#deps.store.locks.list()).find(
      ({ service, environment }) => service === placed.service && environment === placed.environment,
    );
    this.#note(placed, host.host, verdict, lock?.deployment);
    if (verdict.is !== 'due' || lock !== undefined || asked) return null;
    // While its agent is being replaced it would be refused; the end of that wakes us.
    const wanted = { service: placed.service, hosts: [host.host] };
    if ((await this.#deps.store.deployments.whoHolds(wanted)) !== undefined) return null;
    return this.#begin(placed, host.host, verdict);
  }

  #note(placed: Placed, host: string, verdict: Verdict, lock: number | undefined): void {
    const key = keyOf(placed, host);
    const before = this.#standings.get(key)?.standing?.why;
    const standing = standingFrom(verdict, lock);
    this.#standings.set(key, { wanted: verdict.wanted, standing });
    if (standing?.state !== 'behind' || standing.why === before) return;
    const { service, environment } = placed;
    this.#deps.log.warn({ host, service, environment, next: standing.next }, `behind: ${standing.why}`);
  }

  async #begin(placed: Placed, host: string, { version, why, skipChecks }: Due): Promise<number | null> {
    const { log, store } = this.#deps;
    const { service, environment } = placed;
    const row = { who: FLEET, from: FLEET, what: 'deployments.start' };
    const details = { service, environment, version, hosts: [host], why };
    try {
      const id = await this.#deployer.catchUp(
        { service, environment, version, host, why, skipChecks },
        FLEET,
      );
      await store.audit.append({ ...row, outcome: 'done', details: { ...details, id } });
      this.#standings.set(keyOf(placed, host), {
        wanted: version,
        standing: { state: 'catching_up', why, next: `fleet attach ${id}` },
      });
      return id;
    } catch (error) {
      const { code, message, next } = asFleetError(error);
      // Somebody was faster.
      if (code === 'locked' || code === 'stopping') return null;
      log.warn({ host, service, environment, code, next }, `cannot catch up: ${message}`);
      const standing = { state: 'behind', why: message, next: next ?? `fleet hosts show ${host}` } as const;
      this.#standings.set(keyOf(placed, host), { wanted: version, standing });
      return null;
    }
  }

  async #verdictOf(placed: Placed, host: HostRecord): Promise<Verdict> {
    const { store } = this.#deps;
    const last = await this.#lastOf(placed);
    if (last === undefined) return { is: 'well', wanted: null };
    if (store.restoredFrom !== null && last.startedAt <= store.restoredFrom)
      return { is: 'well', wanted: null };
    return judge(last, await this.#membersOf(placed, last), host.host, Date.now());
  }

  async #membersOf(placed: Placed, last: Last): Promise<Member[]> {
    const { store } = this.#deps;
    const { service, environment } = placed;
    const hosts = hostsOf(placed, await store.hosts.list());
    const points = await store.rollbackPoints.list(service, environment);
    const hidden = await store.hidden.list();
    const out = new Set((await store.outHosts.list()).map((each) => each.host));
    const servers = await this.#serversOf(placed);
    const tries = await store.deployments.catchUps(service, environment, last.id);
    return Promise.all(
      hosts.map(async (each): Promise<Member> => {
        const point = points.find((found) => found.host === each.host);
        const record = hidden.find((found) => isOf(found, placed) && found.host === each.host);
        return {
          host: each.host,
          isOut: out.has(each.host),
          connected: this.#deps.agents.isConnected(each.host),
          current: await this.#currentOf(service, each),
          verified: point === undefined || point.leftBy !== null ? null : point,
          hidden: record?.reason ?? null,
          absent:
            servers !== null &&
            placed.balancer !== undefined &&
            !servers.includes(fillTemplate(placed.balancer.server, each)),
          since: each.since,
          letIn: each.letIn,
          tries: await this.#triesOf(
            tries.filter((found) => hostsAsked(found).includes(each.host)),
            each.host,
          ),
        };
      }),
    );
  }

  async #lastOf({ service, environment }: Placed): Promise<Last | undefined> {
    const { deployments, steps } = this.#deps.store;
    const record = await deployments.newestPlanned(service, environment);
    if (record === undefined || record.version === null || record.endedAt === null) return undefined;
    const key = `${service} ${environment}`;
    const known = this.#lasts.get(key);
    if (known?.id === record.id) return known;
    const all = await steps.list(record.id);
    const hosts = (await deployments.hosts(record.id)).map(({ host, report }) => {
      const unanswered = all.some((step) => step.host === host && step.outcome === 'unreachable');
      const final = finalReport.safeParse(report).data;
      return [host, { lost: unanswered || final?.known !== true }] as const;
    });
    const asked = record.request as { skipChecks?: string[] };
    const last: Last = {
      id: record.id,
      service,
      environment,
      version: record.version,
      succeeded: record.state === 'succeeded',
      startedAt: record.startedAt,
      endedAt: record.endedAt,
      onFailure: settingsForm.parse(record.settings).strategy.on_failure,
      skipChecks: asked.skipChecks ?? [],
      hosts: new Map(hosts),
      passedBy: new Map((await deployments.passedBy(record.id)).map(({ host, reason }) => [host, reason])),
    };
    this.#lasts.set(key, last);
    return last;
  }

  async #triesOf(tries: readonly DeploymentRecord[], host: string): Promise<Member['tries']> {
    const ended = tries.filter(({ endedAt }) => endedAt !== null);
    return Promise.all(
      ended.map(async ({ id, state, startedAt, endedAt }) => {
        const steps = state === 'succeeded' ? [] : await this.#deps.store.steps.list(id);
        const failed = steps.some((step) => step.host === host && step.outcome === 'failed');
        const end = state === 'succeeded' ? 'well' : failed ? 'failed' : 'not begun';
        return { id, startedAt, endedAt: endedAt!, end };
      }),
    );
  }

  async #currentOf(service: string, { host, services }: HostRecord): Promise<string | null> {
    const { agents, clock, parking } = this.#deps;
    const said = services.find((each) => each.service === service)?.current ?? null;
    if (!agents.isConnected(host)) return said;
    return within(clock, REPORT_MS, parking, (signal) =>
      agents.ask(host, 'step.report', { service }, { timeoutMs: REPORT_MS, signal }),
    ).then(
      ({ current }) => current,
      () => said,
    );
  }

  async #serversOf({ balancer }: Placed): Promise<string[] | null> {
    if (balancer === undefined) return null;
    const servers = await this.#deps
      .balancer(balancer.name)
      .servers(balancer.backend)
      .catch(() => null);
    return servers?.map(({ name }) => name) ?? null;
  }
}

const keyOf = ({ service, environment }: Pick<Placed, 'service' | 'environment'>, host: string) =>
  `${service} ${environment} ${host}`;

const isOf = (record: HiddenHost, { service, environment }: Placed) =>
  record.service === service && record.environment === environment;

const hostsAsked = ({ request }: DeploymentRecord): string[] => (request as { hosts?: string[] }).hosts ?? [];

function standingFrom(verdict: Verdict, lock: number | undefined): Standing | null {
  if (verdict.is === 'well') return null;
  if (verdict.is === 'behind') return { state: 'behind', why: verdict.why, next: verdict.next };
  return {
    state: 'catching_up',
    why: lock === undefined ? verdict.why : `${verdict.why}; it waits for deployment ${lock}`,
    next: lock === undefined ? 'fleet history' : `fleet attach ${lock}`,
  };
}
