/** I4, I5, I6: how many users can reach, what is written down of those that they cannot, and that they reach what was tested. */
import { type AdminState, isVisible, type ServerState } from '@fleet/balancers/balancer.ts';
import type { Watched } from './watched.ts';

/** A host that the nemesis has harmed may still be counted by who looked just before, for this long. */
const NOT_YET_SEEN = 10_000;

export class BeforeUsers {
  readonly #world: Watched;
  /** By host and service: since the host was hidden, something was done to it. */
  readonly #touched = new Set<string>();
  /** Shown behind fleet's back: the balancer was reloaded. */
  readonly #shownByOthers = new Set<string>();
  readonly #harmedAt = new Map<string, number>();

  constructor(world: Watched) {
    this.#world = world;
  }

  harmed(host: string): void {
    this.#harmedAt.set(host, this.#world.clock.now());
  }

  shownByOthers(service: string, host: string): void {
    this.#shownByOthers.add(`${host} ${service}`);
  }

  /** A command does something to a service: `what`, for people. */
  onAct(host: string, service: string, what: string): void {
    const key = `${host} ${service}`;
    this.#touched.add(key);
    const balancer = this.#world.balancers.get(service);
    if (balancer !== undefined && isVisible(balancer.stateOf(host)) && !this.#shownByOthers.has(key))
      this.#violated('I6', `${service} is ${what} on ${host} while users reach it`);
  }

  /** `hasFailed`: in the deployment that runs. */
  onSet(service: string, name: string, admin: AdminState, before: ServerState, hasFailed: boolean): void {
    const key = `${name} ${service}`;
    this.#world.story.tell(`${key} ${admin} at the balancer`);
    this.#shownByOthers.delete(key);
    const isProven = this.#world.hosts.get(name)!.programs.isProven(service);
    if (admin === 'ready') {
      // Who is told twice was shown before.
      if (before.admin !== 'ready' && this.#touched.has(key) && !isProven)
        this.#violated('I6', `${name} is shown and ${service} there has not passed its smoke test`);
      this.#touched.delete(key);
      return;
    }
    if (before.admin === 'ready') this.#touched.delete(key);
    if (isVisible(before) && isProven && !hasFailed) this.#checkLeft(service, name);
  }

  #checkLeft(service: string, name: string): void {
    const { balancers, clock, minVisible } = this.#world;
    const visible = balancers.get(service)!.visible();
    const others = visible.filter((other) => other !== name).length;
    const harmed = [...this.#harmedAt].filter(([, at]) => clock.now() - at < NOT_YET_SEEN);
    // Hiding a host that is down takes nobody away: it has come up again while the balancer was slow.
    if (harmed.some(([host]) => host === name)) return;
    if (others + harmed.length < minVisible)
      this.#violated('I4', `hiding ${name} leaves ${others} visible, and min_visible is ${minVisible}`);
  }

  /** `noted`: the hosts and services that fleet says it hides, when all is quiet. */
  checkNotes(noted: ReadonlySet<string>): void {
    for (const [service, balancer] of this.#world.balancers)
      for (const [name, { admin, by }] of balancer.told) {
        const isNoted = noted.has(`${name} ${service}`);
        if (admin !== 'ready' && by === 'fleet' && !isNoted)
          this.#violated('I5', `${name} is hidden by fleet, and nothing says why`);
        if (admin === 'ready' && isNoted)
          this.#violated('I5', `${name} is noted as hidden by fleet, and is shown`);
      }
  }

  #violated(invariant: string, what: string): void {
    this.#world.story.violated(invariant, what);
  }
}
