/**
 * I10, I11, I12, of I6 the order of steps, and of I13 where a rollback goes: what reports, events and recaps say is so, and what
 * was acknowledged stays.
 */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import type { AgentMethods, Reply } from '@fleet/protocol/messages/methods.ts';
import type { SimulatedHost } from '../host.ts';
import type { Watched } from './watched.ts';

export type Report = Reply<AgentMethods, 'step.report'>;

interface Seen {
  at: number;
  report: Report;
  /** It was well when it was last looked at. */
  passed: boolean;
}

interface Course {
  service: string;
  startedAt: number;
  /** What was current on each host when it began. */
  before: Map<string, string | null>;
  /** Hosts with a step that failed. */
  failed: Set<string>;
  done: Map<string, Set<string>>;
}

/** The step that must be done before, in the life of a host that was hidden. */
const NEEDS: Readonly<Record<string, string | undefined>> = {
  activate: 'drain',
  restart: 'activate',
  smoke: 'restart',
  unhide: 'smoke',
};

export class Told {
  readonly #world: Watched;
  readonly #currentOf: (host: SimulatedHost, service: string) => string | undefined;
  readonly #courses = new Map<number, Course>();
  /** By host and service: the last one. */
  readonly #reports = new Map<string, Seen>();
  /** Host, service and version: it has passed a smoke test there. */
  readonly #passed = new Set<string>();
  /** Rollback points that were acknowledged: deployment and host. */
  readonly #acknowledged = new Set<string>();
  /** Retries, by what they retry. */
  readonly #retries = new Map<number, number>();
  /** By deployment: the hosts that need no retry. */
  readonly #succeeded = new Map<number, Set<string>>();

  constructor(world: Watched, currentOf: (host: SimulatedHost, service: string) => string | undefined) {
    this.#world = world;
    this.#currentOf = currentOf;
  }

  /** Whether a step of the deployment that runs has failed there. */
  hasFailed(service: string, host: string): boolean {
    const course = [...this.#courses.values()].find((each) => each.service === service);
    return course?.failed.has(host) ?? false;
  }

  serviceOf(deployment: number): string | undefined {
    return this.#courses.get(deployment)?.service;
  }

  retried(of: number, by: number): void {
    this.#retries.set(by, of);
  }

  onReport(host: SimulatedHost, service: string, report: Report): void {
    const current = this.#currentOf(host, service) ?? null;
    const running = host.programs.watchedVersion(service);
    if (report.current !== current || report.running !== running)
      this.#violated(
        'I10',
        `${host.name} reports current ${report.current}, running ${report.running}; true is current ${current}, running ${running}`,
      );
    const passed = host.programs.hasPassed(service);
    this.#reports.set(`${host.name} ${service}`, { at: this.#world.clock.now(), report, passed });
  }

  onPassed(host: string, service: string, version: string): void {
    this.#passed.add(`${host} ${service} ${version}`);
  }

  onBegun(
    deployment: number,
    { kind, service, version, hosts }: Extract<FleetEvent, { type: 'deployment.started' }>,
  ): void {
    for (const host of kind === 'rollback' ? hosts : [])
      if (!this.#passed.has(`${host} ${service} ${version}`))
        this.#violated(
          'I13',
          `deployment ${deployment} goes back to ${version}, which was never well on ${host}`,
        );
    const current = (name: string) => this.#currentOf(this.#world.hosts.get(name)!, service) ?? null;
    this.#courses.set(deployment, {
      service,
      startedAt: this.#world.clock.now(),
      before: new Map(hosts.map((name) => [name, current(name)])),
      failed: new Set(),
      done: new Map(),
    });
  }

  onStepBegun(
    deployment: number,
    { host, kind, rescue }: Extract<FleetEvent, { type: 'step.started' }>,
  ): void {
    const done = this.#courses.get(deployment)?.done.get(host) ?? new Set();
    const before = NEEDS[kind];
    // A host that runs the version already, or goes back, begins elsewhere.
    if (!rescue && done.has('hide') && before !== undefined && !done.has(before))
      this.#violated('I6', `deployment ${deployment}: ${kind} of ${host} begins before ${before} is done`);
  }

  onStepEnded(
    deployment: number,
    { host, kind, outcome, rescue }: Extract<FleetEvent, { type: 'step.ended' }>,
  ): void {
    if (kind === 'record' && outcome === 'ok') this.#acknowledged.add(`${deployment} ${host}`);
    const course = this.#courses.get(deployment);
    if (outcome === 'failed' || outcome === 'unreachable') course?.failed.add(host);
    else if (!rescue) course?.done.set(host, (course.done.get(host) ?? new Set()).add(kind));
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
    const bad = hosts.some((each) => each.failed + each.unreachable + each.skipped + each.rescued > 0);
    const elsewhere = hosts.some((each) => each.running !== version || each.notes.length > 0);
    if (exit !== 0 && !bad && !elsewhere && failure === null && state !== 'aborted')
      this.#violated('I11', `exit ${exit}, and nothing was wrong`);
    this.#checkRetry(recap);
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

  #violated(invariant: string, what: string): void {
    this.#world.story.violated(invariant, what);
  }
}
