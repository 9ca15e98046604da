/** What must never happen, looked at on the disks, at the balancer and in the programs, and not in what the product says of itself. */
import { basename, dirname } from 'node:path';
import type { AdminState, ServerState } from '@fleet/balancers/balancer.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import type { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import { type Deed, deed } from './deed.ts';
import type { SimulatedHost } from './host.ts';
import { BeforeUsers } from './invariants/beforeUsers.ts';
import { InOrder } from './invariants/inOrder.ts';
import { OnDisks } from './invariants/onDisks.ts';
import { type Report, Told } from './invariants/told.ts';
import { deploymentOf, type Watched } from './invariants/watched.ts';
import type { HookRun } from './service.ts';

type Smoke = 'check.smoke';

export class Invariants {
  readonly disks: OnDisks;
  readonly users: BeforeUsers;
  readonly order: InOrder;
  readonly told: Told;
  readonly #world: Watched;

  constructor(world: Watched) {
    this.#world = world;
    this.disks = new OnDisks(world);
    this.users = new BeforeUsers(world);
    this.order = new InOrder(world);
    this.told = new Told(world, (host, service) => this.disks.currentOf(host, service));
  }

  // On a host.

  onRename(host: SimulatedHost, to: string): void {
    if (basename(to) !== 'current') return;
    const service = basename(dirname(to));
    this.disks.onSwitched(host, service);
    this.#acts(host.name, service, 'activated');
  }

  onStart(host: SimulatedHost, service: string, version: string): void {
    this.#world.story.tell(`${host.name} ${service} starts ${version}`);
    this.#acts(host.name, service, 'started');
    this.disks.onStart(host, service, version);
  }

  onStop(host: SimulatedHost, service: string, version: string): void {
    this.#world.story.tell(`${host.name} ${service} stops ${version}`);
    this.#acts(host.name, service, 'stopped');
  }

  onHookBegun(host: SimulatedHost, { name, service, version, by }: HookRun): void {
    this.#world.story.tell(`${host.name} ${service} ${name} of ${version} begins`);
    this.order.onAct(host.name, service, deploymentOf(by));
  }

  onHookCompleted(host: SimulatedHost, run: HookRun): void {
    this.#world.story.tell(`${host.name} ${run.service} ${run.name} of ${run.version} completed`);
    this.order.onCompleted(host, run);
  }

  /** Something is done to a service by a command. What the supervisor does by itself is no act of fleet. */
  #acts(host: string, service: string, what: string): void {
    const by = deed();
    if (by === undefined) return;
    this.order.onAct(host, service, deploymentOf(by));
    this.users.onAct(host, service, `${what} by ${by.command.why}`);
  }

  // Messages.

  onDelivered(host: SimulatedHost, by: Deed | undefined): void {
    if (by === undefined) return;
    this.#world.story.tell(`${host.name} takes ${by.method} of epoch ${by.command.epoch}, ${by.command.why}`);
    this.order.onDelivered(host, by);
  }

  onAnswered(host: SimulatedHost, method: string, request: unknown, reply: unknown, by?: Deed): void {
    if (by !== undefined) this.order.onObeyed(host, by);
    if (method === 'step.report')
      this.told.onReport(host, (request as { service: string }).service, reply as Report);
    if (method === 'check.smoke')
      this.#smoked(host, request as Request<AgentMethods, Smoke>, reply as Reply<AgentMethods, Smoke>);
  }

  onRefused(host: SimulatedHost, method: string, { code, message }: FleetError, by?: Deed): void {
    this.#world.story.tell(`${host.name} answers ${method} with ${code}: ${message}`);
    // Refused for another reason than its epoch, it was let in.
    const obeyed = code !== 'stale_epoch' && code !== 'disk_full' && code !== 'internal';
    if (by !== undefined && obeyed) this.order.onObeyed(host, by);
  }

  #smoked(
    host: SimulatedHost,
    { service, version, onceOnly }: Request<AgentMethods, Smoke>,
    { results }: Reply<AgentMethods, Smoke>,
  ): void {
    const passed = results.every((result) => result.passed);
    const said = `${host.name} ${service} ${version} ${passed ? 'passes' : 'fails'} its smoke test`;
    if (!onceOnly || !passed) this.#world.story.tell(said);
    if (passed) this.told.onPassed(host.name, service, version);
    if (host.programs.running.get(service)?.version === version)
      host.programs.prove(service, { passed, look: onceOnly });
  }

  // The balancer.

  onSet(service: string, host: string, admin: AdminState, before: ServerState): void {
    this.users.onSet(service, host, admin, before, this.told.hasFailed(service, host));
  }

  // What the controller tells.

  onEvent(deployment: number, event: FleetEvent): void {
    if (event.type === 'deployment.started') this.told.onBegun(deployment, event);
    const service = this.told.serviceOf(deployment);
    if (service === undefined) return;
    if (event.type === 'step.started') {
      this.order.onAct(event.host, service, deployment);
      this.told.onStepBegun(deployment, event);
    }
    if (event.type !== 'step.ended') return;
    this.told.onStepEnded(deployment, event);
    // A rollback point is on the disk of the controller.
    if (event.kind === 'record' && event.outcome === 'ok')
      this.disks.onRecorded(event.host, service, event.message!.replace(/ verified$/, ''));
  }

  onEnded(recap: Recap): void {
    this.told.onEnded(recap);
    for (const { host } of recap.hosts) this.disks.checkReleases(this.#world.hosts.get(host)!, recap.service);
  }

  /** Everything is healed, for long. `noted`: the hosts and services that fleet says it hides. */
  checkQuiet(noted: ReadonlySet<string>): void {
    this.users.checkNotes(noted);
    for (const host of this.#world.hosts.values())
      for (const service of this.#world.shelf.services) {
        this.disks.checkCurrent(host, service);
        this.disks.checkReleases(host, service);
        this.disks.checkLeftOver(host, service);
      }
  }
}
