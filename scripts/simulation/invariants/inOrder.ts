/** I7, I8, I9: one deployment after the other, no controller that was replaced, and nothing twice. */
import type { Deed } from '../deed.ts';
import type { SimulatedHost } from '../host.ts';
import type { HookRun } from '../service.ts';
import { deploymentOf, stepOf, type Watched } from './watched.ts';

export class InOrder {
  readonly #world: Watched;
  /** By host and service. */
  readonly #lastDeployment = new Map<string, number>();
  /** By host. */
  readonly #epochs = new Map<string, number>();
  readonly #epochAtDelivery = new WeakMap<Deed, number>();
  /** By deployment, host, step and hook. */
  readonly #completed = new Map<string, number>();
  /** By deployment: how often a person said that an interrupted hook is to run again. */
  readonly #again = new Map<number, number>();

  constructor(world: Watched) {
    this.#world = world;
  }

  /** Between two acts of one deployment on a host, none of another one of the same service. */
  onAct(host: string, service: string, deployment: number): void {
    const key = `${host} ${service}`;
    const last = this.#lastDeployment.get(key) ?? 0;
    if (deployment < last)
      this.#violated('I7', `deployment ${deployment} acts on ${key} after deployment ${last}`);
    this.#lastDeployment.set(key, deployment);
  }

  onDelivered(host: SimulatedHost, by: Deed): void {
    this.#epochAtDelivery.set(by, this.#epochs.get(host.name) ?? 0);
  }

  onObeyed(host: SimulatedHost, by: Deed): void {
    const { epoch, id } = by.command;
    const seen = this.#epochAtDelivery.get(by) ?? 0;
    if (epoch < seen)
      this.#violated('I8', `${host.name} obeys ${id} of epoch ${epoch} after one of epoch ${seen}`);
    this.#epochs.set(host.name, Math.max(epoch, this.#epochs.get(host.name) ?? 0));
  }

  mayRunAgain(deployment: number): void {
    this.#again.set(deployment, (this.#again.get(deployment) ?? 0) + 1);
  }

  onCompleted(host: SimulatedHost, { name, service, version, by }: HookRun): void {
    const deployment = deploymentOf(by);
    const key = `${deployment} ${host.name} ${stepOf(by)} ${name}`;
    const times = (this.#completed.get(key) ?? 0) + 1;
    this.#completed.set(key, times);
    const allowed = 1 + (this.#again.get(deployment) ?? 0);
    if (this.#isRepeatable(service, version, name) || times <= allowed) return;
    this.#violated(
      'I9',
      `${name} of ${service} ${version} was completed ${times} times on ${host.name} by deployment ${deployment}`,
    );
  }

  #isRepeatable(service: string, version: string, name: string): boolean {
    const sealed = this.#world.shelf.of(service, version).service;
    const hooks: Record<string, { repeatable: boolean } | undefined> = sealed.hooks;
    return hooks[name]?.repeatable ?? sealed.once.find((each) => each.name === name)?.repeatable ?? false;
  }

  #violated(invariant: string, what: string): void {
    this.#world.story.violated(invariant, what);
  }
}
