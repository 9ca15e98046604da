/**
 * Catching up: a host that is not where its environment is gets a deployment of its own, by `fleet`, as soon as nobody else
 * deploys there. What is done is an ordinary deployment; here is only seen to it that it begins.
 */
import type { Standing } from '@fleet/protocol/api/standing.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { isRehearsal, type Placed, placesOn } from '../config/config.ts';
import { type Due, environmentVersion, judge, type Last, type Member, type Verdict } from './behind.ts';
import type { Deps } from './context.ts';
import type { Deployer } from './deployer.ts';
import { hideDown } from './hideDown.ts';
import { hostsAsked, lastOf, membersOf } from './members.ts';

/** Who the history says has asked. */
export const FLEET = 'fleet';
/** Between two looks where nothing has happened. */
const EVERY_MS = 30_000;
/** Others may come at the same time. */
const SOON_MS = 200;

interface Scene {
  last: Last;
  members: Member[];
}
export interface Asked {
  placed: Placed;
  verdict: Verdict;
  /** The one that brings it there, where it has begun. */
  deployment: number | null;
}

export class CatchUp {
  readonly #deps: Deps;
  readonly #deployer: Pick<Deployer, 'catchUp'>;
  #woken = new AbortController();
  /** Hosts that a person has let in, also where nobody catches up by itself; until nothing is left to do there. */
  readonly #asked = new Set<string>();
  /** What is known of a deployment that has ended does not change. */
  readonly #lasts = new Map<string, Last>();
  /** Why one could not even begin: said once. */
  readonly #refused = new Map<string, string>();
  readonly #standings = new Map<string, { wanted: string | null; standing: Standing | null }>();

  constructor(deps: Deps, deployer: Pick<Deployer, 'catchUp'>) {
    this.#deps = deps;
    this.#deployer = deployer;
  }

  /** As it was at the last look; undefined before the first one, and where nobody looks. */
  standingOf(placed: Pick<Placed, 'service' | 'environment'>, host: string) {
    return this.#standings.get(keyOf(placed, host));
  }

  /** What a whole environment is on, asked now; null where nothing was deployed, or nobody knows. */
  async versionOf(placed: Placed): Promise<string | null> {
    const scene = await this.#sceneOf(placed);
    const seen = scene && environmentVersion(scene.last, scene.members, '');
    return seen !== undefined && 'version' in seen ? seen.version : null;
  }

  /** Something has happened that may let a host catch up. */
  wake(): void {
    this.#woken.abort();
  }

  /** Goes on until the controller parks. */
  async run(): Promise<void> {
    const { clock, log, parking, settledAt, store } = this.#deps;
    const unfollow = store.events.follow(({ event }) => {
      if (event.type === 'deployment.ended') this.wake();
    });
    // Agents of a controller that has just started are on their way back: what is thought of them before is not true.
    await clock.sleep(Math.max(0, settledAt - clock.now()), parking).catch(() => {});
    while (!parking.aborted) {
      this.#woken = new AbortController();
      await this.look().catch((error: unknown) => {
        const { code, message } = asFleetError(error);
        log.warn({ code }, `not known who is behind: ${message}`);
      });
      await clock.sleep(EVERY_MS, AbortSignal.any([this.#woken.signal, parking])).catch(() => {});
      await clock.sleep(SOON_MS, parking).catch(() => {});
    }
    unfollow();
  }

  /** Looks at every place of every host, and begins what is due. */
  async look(): Promise<void> {
    const { config, parking, store } = this.#deps;
    const scenes = new Map<string, Promise<Scene | undefined>>();
    for (const host of await store.hosts.list()) {
      const places = placesOn(config, host).filter(
        (placed) => this.#isOn(placed) || this.#asked.has(host.host),
      );
      if (isRehearsal(host) || places.length === 0) continue;
      if (parking.aborted) return;
      const begun = await this.#lookAt(host.host, places, scenes);
      if (begun.every(({ verdict }) => verdict.is !== 'due')) this.#asked.delete(host.host);
    }
  }

  /** For a host that a person has let in. */
  async ask(host: string): Promise<Asked[]> {
    const { config, store } = this.#deps;
    const record = (await store.hosts.list()).find((each) => each.host === host);
    if (record === undefined) return [];
    this.#asked.add(host);
    const asked = await this.#lookAt(host, placesOn(config, record), new Map());
    this.wake();
    return asked;
  }

  #isOn({ catch_up }: Placed): boolean {
    return catch_up ?? !this.#deps.config.development;
  }

  /** In the order of controller.yaml, one after the other: the first that is due is begun, the others wait for it. */
  async #lookAt(
    host: string,
    places: readonly Placed[],
    scenes: Map<string, Promise<Scene | undefined>>,
  ): Promise<Asked[]> {
    const { store } = this.#deps;
    const asked: Asked[] = [];
    const running = (await store.deployments.unfinished()).find(
      (each) => each.apart === 'catching_up' && hostsAsked(each).includes(host),
    );
    let waits = running?.id;
    for (const placed of places) {
      const key = keyOf(placed, '');
      const scene = scenes.get(key) ?? this.#sceneOf(placed);
      scenes.set(key, scene);
      const verdict = await this.#verdictOf(host, await scene);
      const lock = (await store.locks.list()).find(
        ({ service, environment }) => service === placed.service && environment === placed.environment,
      );
      const isIts = lock !== undefined && lock.deployment === running?.id;
      this.#note(
        placed,
        host,
        verdict,
        isIts ? `fleet attach ${lock.deployment}` : (lock?.deployment ?? waits),
      );
      let deployment: number | null = null;
      if (verdict.is === 'behind' && verdict.away && lock === undefined)
        await hideDown(this.#deps, placed, host, (await scene)!.last);
      if (verdict.is === 'due') {
        // While its agent is being replaced it would be refused; the end of that wakes us.
        const held = await store.deployments.whoHolds({ service: placed.service, hosts: [host] });
        if (lock === undefined && waits === undefined && held === undefined)
          deployment = await this.#begin(placed, host, verdict);
        waits ??= deployment ?? lock?.deployment;
      }
      asked.push({ placed, verdict, deployment });
    }
    return asked;
  }

  async #sceneOf(placed: Placed): Promise<Scene | undefined> {
    const { store } = this.#deps;
    const key = keyOf(placed, '');
    const known = this.#lasts.get(key);
    const newest = await store.deployments.newestPlanned(placed.service, placed.environment);
    const last = known !== undefined && known.id === newest?.id ? known : await lastOf(this.#deps, placed);
    if (last === undefined) return undefined;
    this.#lasts.set(key, last);
    // What was deployed after the backup is not known, and must not be undone.
    if (store.restoredFrom !== null && last.startedAt <= store.restoredFrom) return undefined;
    return { last, members: await membersOf(this.#deps, placed, last) };
  }

  async #verdictOf(host: string, scene: Scene | undefined): Promise<Verdict> {
    return judge(scene?.last, scene?.members ?? [], host, Date.now());
  }

  #note(placed: Placed, host: string, verdict: Verdict, waitsFor: WaitsFor): void {
    const key = keyOf(placed, host);
    const before = this.#standings.get(key)?.standing?.why;
    const standing = standingFrom(verdict, waitsFor);
    this.#standings.set(key, { wanted: verdict.wanted, standing });
    if (standing?.state !== 'behind' || standing.why === before) return;
    const { service, environment } = placed;
    this.#deps.log.warn({ host, service, environment, next: standing.next }, `behind: ${standing.why}`);
  }

  async #begin(placed: Placed, host: string, { version, why, skipChecks }: Due): Promise<number | null> {
    const { log, store } = this.#deps;
    const { service, environment } = placed;
    const row = { who: FLEET, from: FLEET, what: 'deployments.start', outcome: 'done' } as const;
    const details = { service, environment, version, hosts: [host], why };
    const stands = (standing: Standing) =>
      this.#standings.set(keyOf(placed, host), { wanted: version, standing });
    try {
      const asked = { service, environment, version, host, why, skipChecks };
      const id = await this.#deployer.catchUp(asked, FLEET);
      stands({ state: 'catching_up', why, next: `fleet attach ${id}` });
      await store.audit.append({ ...row, details: { ...details, id } });
      return id;
    } catch (error) {
      const { code, message, next = `fleet hosts show ${host}` } = asFleetError(error);
      // Somebody was faster.
      if (code === 'locked' || code === 'stopping') return null;
      const key = keyOf(placed, host);
      if (this.#refused.get(key) !== message)
        log.warn({ host, service, environment, code, next }, `cannot catch up: ${message}`);
      this.#refused.set(key, message);
      stands({ state: 'behind', why: message, next });
      return null;
    }
  }
}

const keyOf = ({ service, environment }: Pick<Placed, 'service' | 'environment'>, host: string) =>
  `${service} ${environment} ${host}`;

/** The deployment that is first, or the command that shows its own, or nothing. */
type WaitsFor = number | string | undefined;

function standingFrom(verdict: Verdict, waitsFor: WaitsFor): Standing | null {
  if (verdict.is === 'well') return null;
  if (verdict.is === 'behind') return { state: 'behind', why: verdict.why, next: verdict.next };
  const { why } = verdict;
  if (typeof waitsFor === 'string') return { state: 'catching_up', why, next: waitsFor };
  if (waitsFor === undefined) return { state: 'catching_up', why, next: 'fleet history' };
  return {
    state: 'catching_up',
    why: `${why}; deployment ${waitsFor} is first`,
    next: `fleet attach ${waitsFor}`,
  };
}
