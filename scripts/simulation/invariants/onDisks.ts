/** I1, I2, I3, I13, I17: what is active is whole, what was active stays as it is, the way back is there, and nothing is left over. */
import { basename } from 'node:path';
import { ROOT, type SimulatedHost } from '../host.ts';
import { differenceOf } from '../trees.ts';
import type { Watched } from './watched.ts';

export class OnDisks {
  readonly #world: Watched;
  /** By host and service: the versions that were ever current. */
  readonly #activated = new Map<string, Set<string>>();
  /** By host and service: the versions that were verified, oldest first. */
  readonly #verified = new Map<string, string[]>();

  constructor(world: Watched) {
    this.#world = world;
  }

  onSwitched(host: SimulatedHost, service: string): void {
    const key = `${host.name} ${service}`;
    const current = this.currentOf(host, service);
    this.#activated.set(key, (this.#activated.get(key) ?? new Set()).add(String(current)));
    this.#world.story.tell(`${key} current ${current}`);
    this.checkCurrent(host, service);
  }

  onStart(host: SimulatedHost, service: string, version: string): void {
    const difference = this.#differenceOf(host, service, version);
    if (difference !== undefined)
      this.#violated('I2', `${host.name} starts ${service} ${version}, which is not whole: ${difference}`);
  }

  onRecorded(host: string, service: string, version: string): void {
    const versions = this.#verified.get(`${host} ${service}`) ?? [];
    if (versions.at(-1) !== version) versions.push(version);
    this.#verified.set(`${host} ${service}`, versions);
  }

  currentOf(host: SimulatedHost, service: string): string | undefined {
    const link = host.disk.seek(`${ROOT}/${service}/current`);
    return link?.kind === 'link' ? basename(link.target) : undefined;
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

  /** What was good before is there still, and what was ever made current is as it was then, or gone. */
  checkReleases(host: SimulatedHost, service: string): void {
    const versions = this.#verified.get(`${host.name} ${service}`) ?? [];
    const previous = versions.findLast((version) => version !== versions.at(-1));
    const lost = previous && this.#differenceOf(host, service, previous);
    if (lost !== undefined)
      this.#violated(
        'I13',
        `${previous} was good before ${versions.at(-1)} on ${host.name}, and is gone: ${lost}`,
      );
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

  checkLeftOver(host: SimulatedHost, service: string): void {
    const home = host.disk.seek(`${ROOT}/${service}`);
    const staging = host.disk.seek(`${ROOT}/${service}/staging`);
    const names = [
      ...(home?.kind === 'folder' ? home.entries.keys() : []).filter((name) => name.startsWith('.')),
      ...(staging?.kind === 'folder' ? staging.entries.keys() : []).filter((name) => !name.endsWith('.part')),
    ];
    if (names.length > 0) this.#violated('I17', `${host.name} has ${names.join(', ')} left of ${service}`);
  }

  #differenceOf(host: SimulatedHost, service: string, version: string): string | undefined {
    const at = host.disk.seek(`${ROOT}/${service}/releases/${version}`);
    const { manifest, service: sealed } = this.#world.shelf.of(service, version);
    return differenceOf(at?.kind === 'folder' ? at : undefined, manifest, sealed.shared);
  }

  #violated(invariant: string, what: string): void {
    this.#world.story.violated(invariant, what);
  }
}
