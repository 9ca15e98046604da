/** What must never happen, looked at on the disks, at the balancer and in the programs, and not in what the product says of itself. */
import { basename, dirname } from 'node:path';
import type { AdminState, ServerState } from '@fleet/balancers/balancer.ts';
import { isVisible } from '@fleet/balancers/balancer.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import type { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { SimulatedBalancer } from './balancer.ts';
import type { SimulatedClock } from './clock.ts';
import { type Deed, deed } from './deed.ts';
import { ROOT, type SimulatedHost } from './host.ts';
import type { HookRun } from './service.ts';
import type { Shelf } from './shelf.ts';
import type { Story } from './story.ts';
import { differenceOf } from './trees.ts';

/** A host that the nemesis has harmed may still be counted by who looked just before, for this long. */
const NOT_YET_SEEN = 10_000;

type Report = Reply<AgentMethods, 'step.report'>;
interface Seen {
  at: number;
  report: Report;
  passed: boolean;
}

interface Course {
  service: string;
  version: string;
  startedAt: number;
  /** What each host ran when it began. */
  before: Map<string, string | null>;
  /** Hosts with a step that failed. */
  failed: Set<string>;
  done: Map<string, Set<string>>;
}

export interface WorldParts {
  clock: SimulatedClock;
  story: Story;
  shelf: Shelf;
  hosts: ReadonlyMap<string, SimulatedHost>;
  balancers: ReadonlyMap<string, SimulatedBalancer>;
  minVisible: number;
}

export class Invariants {
  readonly #world: WorldParts;
  readonly #courses = new Map<number, Course>();
  /** By host and service: since the host was hidden, something was done to it. */
  readonly #touched = new Set<string>();
  /** Shown behind fleet's back: the balancer was reloaded. */
  readonly #shownByOthers = new Set<string>();
  readonly #harmedAt = new Map<string, number>();
  /** By host and service: the versions that were ever current. */
  readonly #activated = new Map<string, Set<string>>();
  readonly #lastDeployment = new Map<string, number>();
  readonly #epochs = new Map<string, number>();
  readonly #epochAtDelivery = new WeakMap<Deed, number>();
  readonly #completed = new Map<string, number>();
  /** By deployment: how often a person said that an interrupted hook is to run again. */
  readonly #again = new Map<number, number>();
  /** Retries, by what they retry. */
  readonly #retries = new Map<number, number>();
  /** By deployment: the hosts that need no retry. */
  readonly #succeeded = new Map<number, Set<string>>();
  readonly #reports = new Map<string, Seen>();
  /** By host and service: the versions that were verified, oldest first. */
  readonly #verified = new Map<string, string[]>();
  /** Rollback points that were acknowledged: deployment and host. */
  readonly #acknowledged = new Set<string>();

  constructor(world: WorldParts) {
    this.#world = world;
  }

  harmed(host: string): void {
    this.#harmedAt.set(host, this.#world.clock.now());
  }

  shownByOthers(service: string, host: string): void {
    this.#shownByOthers.add(`${host} ${service}`);
  }

  // On a host.

  onRename(host: SimulatedHost, to: string): void {
    if (basename(to) !== 'current') return;
    const service = basename(dirname(to));
    const key = `${host.name} ${service}`;
    const current = this.currentOf(host, service);
    this.#activated.set(key, (this.#activated.get(key) ?? new Set()).add(String(current)));
    this.#world.story.tell(`${key} current ${current}`);
    this.#acts(host.name, service, 'activated');
    this.checkCurrent(host, service);
  }

  onStart(host: SimulatedHost, service: string, version: string): void {
    this.#world.story.tell(`${host.name} ${service} starts ${version}`);
    this.#acts(host.name, service, 'started');
    const difference = this.#differenceOf(host, service, version);
    if (difference !== undefined)
      this.#violated('I2', `${host.name} starts ${service} ${version}, which is not whole: ${difference}`);
  }

  onStop(host: SimulatedHost, service: string, version: string): void {
    this.#world.story.tell(`${host.name} ${service} stops ${version}`);
    this.#acts(host.name, service, 'stopped');
  }

  onHookBegun(host: SimulatedHost, run: HookRun): void {
    const key = `${host.name} ${run.service}`;
    this.#world.story.tell(`${key} ${run.name} of ${run.version} begins`);
    this.#inOrder(key, deploymentOf(run.by));
  }

  onHookCompleted(host: SimulatedHost, run: HookRun): void {
    const { name, service, version, by } = run;
    this.#world.story.tell(`${host.name} ${service} ${name} of ${version} completed`);
    const sealed = this.#world.shelf.of(service, version).service;
    const hooks: Record<string, { repeatable: boolean } | undefined> = sealed.hooks;
    const repeatable = hooks[name]?.repeatable ?? sealed.once.find((each) => each.name === name)?.repeatable;
    const key = `${deploymentOf(by)} ${host.name} ${stepOf(by)} ${name}`;
    const times = (this.#completed.get(key) ?? 0) + 1;
    this.#completed.set(key, times);
    const allowed = 1 + (this.#again.get(deploymentOf(by)) ?? 0);
    if (repeatable !== true && times > allowed)
      this.#violated(
        'I9',
        `${name} of ${service} ${version} was completed ${times} times on ${host.name} by deployment ${deploymentOf(by)}`,
      );
  }

  mayRunAgain(deployment: number): void {
    this.#again.set(deployment, (this.#again.get(deployment) ?? 0) + 1);
  }

  retried(of: number, by: number): void {
    this.#retries.set(by, of);
  }

  /** After a power cut, and whenever `current` was switched. */
  checkCurrent(host: SimulatedHost, service: string): void {
    if (!this.#activated.has(`${host.name} ${service}`)) return;
    const current = this.currentOf(host, service);
    if (current === undefined) {
      // A first switch that was never acknowledged may be lost.
      if ((this.#verified.get(`${host.name} ${service}`)?.length ?? 0) > 0)
        this.#violated('I1', `${host.name} ${service} has no current`);
      return;
    }
    const difference = this.#differenceOf(host, service, current);
    if (difference !== undefined)
      this.#violated(
        'I1',
        `current of ${service} on ${host.name} is ${current}, which is not whole: ${difference}`,
      );
  }

  currentOf(host: SimulatedHost, service: string): string | undefined {
    const link = host.disk.seek(`${ROOT}/${service}/current`);
    return link?.kind === 'link' ? basename(link.target) : undefined;
  }

  // Messages.

  onDelivered(host: SimulatedHost, by: Deed | undefined): void {
    if (by === undefined) return;
    this.#world.story.tell(`${host.name} takes ${by.method} of epoch ${by.command.epoch}, ${by.command.why}`);
    this.#epochAtDelivery.set(by, this.#epochs.get(host.name) ?? 0);
  }

  onAnswered(host: SimulatedHost, method: string, request: unknown, reply: unknown, by?: Deed): void {
    this.#obeyed(host, by);
    if (method === 'step.report') this.#reported(host, request as { service: string }, reply as Report);
    if (method === 'check.smoke')
      this.#smoked(
        host,
        request as Request<AgentMethods, 'check.smoke'>,
        reply as Reply<AgentMethods, 'check.smoke'>,
      );
  }

  onRefused(host: SimulatedHost, method: string, { code, message }: FleetError, by?: Deed): void {
    this.#world.story.tell(`${host.name} answers ${method} with ${code}: ${message}`);
    // Refused for another reason than its epoch, it was let in.
    if (code !== 'stale_epoch' && code !== 'disk_full' && code !== 'internal') this.#obeyed(host, by);
  }

  #obeyed(host: SimulatedHost, by: Deed | undefined): void {
    if (by === undefined) return;
    const { epoch, id } = by.command;
    const seen = this.#epochAtDelivery.get(by) ?? 0;
    if (epoch < seen)
      this.#violated('I8', `${host.name} obeys ${id} of epoch ${epoch} after one of epoch ${seen}`);
    this.#epochs.set(host.name, Math.max(epoch, this.#epochs.get(host.name) ?? 0));
  }

  #reported(host: SimulatedHost, { service }: { service: string }, report: Report): void {
    const current = this.currentOf(host, service) ?? null;
    const running = host.programs.running.get(service)?.version ?? null;
    if (report.current !== current || report.running !== running)
      this.#violated(
        'I10',
        `${host.name} reports current ${report.current}, running ${report.running}; true is current ${current}, running ${running}`,
      );
    this.#reports.set(`${host.name} ${service}`, {
      at: this.#world.clock.now(),
      report,
      passed: host.programs.hasPassed(service),
    });
  }

  #smoked(
    host: SimulatedHost,
    { service, version, onceOnly }: Request<AgentMethods, 'check.smoke'>,
    { results }: Reply<AgentMethods, 'check.smoke'>,
  ): void {
    const passed = results.every((result) => result.passed);
    if (!onceOnly || !passed)
      this.#world.story.tell(
        `${host.name} ${service} ${version} ${passed ? 'passes' : 'fails'} its smoke test`,
      );
    if (host.programs.running.get(service)?.version === version)
      host.programs.prove(service, { passed, look: onceOnly });
  }

  // The balancer.

  onSet(service: string, name: string, admin: AdminState, before: ServerState): void {
    const { clock, story, balancers, hosts, minVisible } = this.#world;
    const key = `${name} ${service}`;
    story.tell(`${name} ${service} ${admin} at the balancer`);
    this.#shownByOthers.delete(key);
    const host = hosts.get(name)!;
    if (admin === 'ready') {
      // Who is told twice was shown before.
      if (before.admin !== 'ready' && this.#touched.has(key) && !host.programs.isProven(service))
        this.#violated('I6', `${name} is shown and ${service} there has not passed its smoke test`);
      this.#touched.delete(key);
      return;
    }
    if (before.admin === 'ready') this.#touched.delete(key);
    if (!isVisible(before) || !host.programs.isProven(service)) return;
    const course = [...this.#courses.values()].find((each) => each.service === service);
    if (course?.failed.has(name)) return;
    const others = balancers
      .get(service)!
      .visible()
      .filter((other) => other !== name).length;
    const harmed = [...this.#harmedAt].filter(
      ([other, at]) => other !== name && clock.now() - at < NOT_YET_SEEN,
    ).length;
    if (others + harmed < minVisible)
      this.#violated('I4', `hiding ${name} leaves ${others} visible, and min_visible is ${minVisible}`);
  }

  // What the controller tells.

  onEvent(deployment: number, event: FleetEvent): void {
    const course = this.#courses.get(deployment);
    if (event.type === 'deployment.started') this.#begun(deployment, event);
    if (event.type === 'step.started' && course !== undefined) {
      const { host, kind, rescue } = event;
      this.#inOrder(`${host} ${course.service}`, deployment);
      const done = course.done.get(host) ?? new Set();
      const needed = { activate: 'drain', restart: 'activate', smoke: 'restart', unhide: 'smoke' } as Record<
        string,
        string
      >;
      const before = needed[kind];
      // A host that runs the version already, or goes back, begins elsewhere.
      if (!rescue && done.has('hide') && before !== undefined && !done.has(before))
        this.#violated('I6', `deployment ${deployment}: ${kind} of ${host} begins before ${before} is done`);
    }
    if (event.type === 'step.ended' && course !== undefined) {
      const { host, kind, message, outcome, rescue } = event;
      if (kind === 'record' && outcome === 'ok')
        this.#recorded(deployment, host, course.service, message!.replace(/ verified$/, ''));
      if (outcome === 'failed' || outcome === 'unreachable') course.failed.add(host);
      else if (!rescue) course.done.set(host, (course.done.get(host) ?? new Set()).add(kind));
    }
  }

  /** A rollback point is on the disk of the controller. */
  #recorded(deployment: number, host: string, service: string, version: string): void {
    this.#acknowledged.add(`${deployment} ${host}`);
    const versions = this.#verified.get(`${host} ${service}`) ?? [];
    if (versions.at(-1) !== version) versions.push(version);
    this.#verified.set(`${host} ${service}`, versions);
  }

  #begun(deployment: number, event: Extract<FleetEvent, { type: 'deployment.started' }>): void {
    const { service, version, hosts } = event;
    const current = (name: string) => this.currentOf(this.#world.hosts.get(name)!, service) ?? null;
    this.#courses.set(deployment, {
      service,
      version,
      startedAt: this.#world.clock.now(),
      before: new Map(hosts.map((name) => [name, current(name)])),
      failed: new Set(),
      done: new Map(),
    });
  }

  onEnded(recap: Recap): void {
    const { deployment, exit, hosts, service, version, failure, state } = recap;
    const course = this.#courses.get(deployment);
    this.#courses.delete(deployment);
    for (const { host, running } of hosts) {
      const seen = this.#reports.get(`${host} ${service}`);
      if (running !== null && running !== seen?.report.running)
        this.#violated('I10', `the recap says that ${running} runs on ${host}, and nobody reported that`);
      const fresh = seen !== undefined && course !== undefined && seen.at >= course.startedAt;
      if (exit === 0 && !(fresh && seen.report.running === version && seen.passed))
        this.#violated('I11', `exit 0, and ${host} was not verified on ${version}`);
      if (exit === 5 && course !== undefined && seen?.report.running !== course.before.get(host))
        this.#violated('I11', `exit 5, and ${host} runs ${seen?.report.running}`);
    }
    this.#checkRetry(recap);
    const bad = hosts.some((each) => each.failed + each.unreachable + each.skipped + each.rescued > 0);
    const elsewhere = hosts.some((each) => each.running !== version || each.notes.length > 0);
    if (exit !== 0 && !bad && !elsewhere && failure === null && state !== 'aborted')
      this.#violated('I11', `exit ${exit}, and nothing was wrong`);
    for (const { host: name } of hosts) {
      const host = this.#world.hosts.get(name)!;
      this.#checkPrevious(host, service);
      this.#checkReleases(host, service);
    }
  }

  /** A retry takes the hosts that did not succeed, and no others. */
  #checkRetry({ deployment, hosts, service, version }: Recap): void {
    const succeeded = new Set<string>();
    for (const { host, failed, unreachable, skipped, rescued, running, notes } of hosts) {
      const report = this.#reports.get(`${host} ${service}`)?.report;
      const runs = running === version && report?.current === version && report.state === 'running';
      if (runs && failed + unreachable + skipped + rescued + notes.length === 0) succeeded.add(host);
    }
    this.#succeeded.set(deployment, succeeded);
    const of = this.#retries.get(deployment) ?? 0;
    for (const { host } of hosts)
      if (this.#succeeded.get(of)?.has(host))
        this.#violated('I11', `deployment ${deployment} retries ${of} on ${host}, which had succeeded`);
  }

  /** Every rollback point that was acknowledged is there, after a controller has started. */
  checkAcknowledged(points: ReadonlySet<string>): void {
    for (const point of this.#acknowledged)
      if (!points.has(point)) this.#violated('I12', `the rollback point of ${point} is lost`);
  }

  // When everything is healed, and quiet.

  checkQuiet(hidden: ReadonlySet<string>): void {
    const { balancers, hosts } = this.#world;
    for (const [service, balancer] of balancers)
      for (const [name, { admin, by }] of balancer.told) {
        const key = `${name} ${service}`;
        if (admin !== 'ready' && by === 'fleet' && !hidden.has(key))
          this.#violated('I5', `${name} is hidden by fleet, and nothing says why`);
        if (admin === 'ready' && hidden.has(key))
          this.#violated('I5', `${name} is noted as hidden by fleet, and is shown`);
      }
    for (const host of hosts.values()) {
      for (const service of this.#world.shelf.services) {
        this.checkCurrent(host, service);
        this.#checkPrevious(host, service);
        this.#checkReleases(host, service);
        this.#checkStaging(host, service);
      }
    }
  }

  /** What was ever made current is as it was then, or gone. */
  #checkReleases(host: SimulatedHost, service: string): void {
    for (const version of this.#activated.get(`${host.name} ${service}`) ?? []) {
      const at = host.disk.seek(`${ROOT}/${service}/releases/${version}`);
      const difference = at && this.#differenceOf(host, service, version);
      if (difference !== undefined)
        this.#violated(
          'I3',
          `${version} of ${service} on ${host.name} was active, and has changed: ${difference}`,
        );
    }
  }

  #checkStaging(host: SimulatedHost, service: string): void {
    const home = host.disk.seek(`${ROOT}/${service}`);
    const staging = host.disk.seek(`${ROOT}/${service}/staging`);
    const names = [
      ...(home?.kind === 'folder' ? home.entries.keys() : []).filter((name) => name.startsWith('.')),
      ...(staging?.kind === 'folder' ? staging.entries.keys() : []).filter((name) => !name.endsWith('.part')),
    ];
    if (names.length > 0) this.#violated('I17', `${host.name} has ${names.join(', ')} left of ${service}`);
  }

  #checkPrevious(host: SimulatedHost, service: string): void {
    const versions = this.#verified.get(`${host.name} ${service}`) ?? [];
    const previous = versions.findLast((version) => version !== versions.at(-1));
    if (previous === undefined) return;
    const difference = this.#differenceOf(host, service, previous);
    if (difference !== undefined)
      this.#violated(
        'I13',
        `${previous} was good before ${versions.at(-1)} on ${host.name}, and is gone: ${difference}`,
      );
  }

  #differenceOf(host: SimulatedHost, service: string, version: string): string | undefined {
    const at = host.disk.seek(`${ROOT}/${service}/releases/${version}`);
    const { manifest, service: sealed } = this.#world.shelf.of(service, version);
    return differenceOf(at?.kind === 'folder' ? at : undefined, manifest, sealed.shared);
  }

  /** Something is done to a service by a command. What the supervisor does by itself is no act of fleet. */
  #acts(name: string, service: string, what: string): void {
    const by = deed();
    if (by === undefined) return;
    const key = `${name} ${service}`;
    this.#touched.add(key);
    this.#inOrder(key, deploymentOf(by));
    const balancer = this.#world.balancers.get(service);
    if (balancer !== undefined && isVisible(balancer.stateOf(name)) && !this.#shownByOthers.has(key))
      this.#violated('I6', `${service} is ${what} on ${name} while users reach it (${by.command.why})`);
  }

  /** Between two acts of one deployment on a host, none of another one of the same service. */
  #inOrder(key: string, deployment: number): void {
    const last = this.#lastDeployment.get(key) ?? 0;
    if (deployment < last)
      this.#violated('I7', `deployment ${deployment} acts on ${key} after deployment ${last}`);
    this.#lastDeployment.set(key, deployment);
  }

  #violated(invariant: string, what: string): void {
    this.#world.story.violated(invariant, what);
  }
}

/** The step that a command is of, by its id: FLEET:DEPLOYMENT:STEP, and perhaps a part. Another id for it is the same step. */
function stepOf(by: Deed | undefined): string | undefined {
  return by?.command.id.split(':')[2];
}

function deploymentOf(by: Deed | undefined): number {
  return Number(/\d+/.exec(by?.command.why ?? '')?.[0] ?? 0);
}
