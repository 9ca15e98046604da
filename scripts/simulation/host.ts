/** A host: its disk, its programs, and the production agent on them, over as many lives as it takes. */

import { basename, dirname } from 'node:path';
import { type Agent, openAgent } from '@fleet/agent/agent.ts';
import type { Host } from '@fleet/agent/host.ts';
import { createPolicy } from '@fleet/agent/policy/policy.ts';
import { UNSIGNED } from '@fleet/agent/trust/trust.ts';
import { notReplaceable } from '@fleet/agent/upgrade/own.ts';
import { policyConfig } from '@fleet/config/agent.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { Random } from '../random/random.ts';
import { diskOf, type Illness } from './agentDisk.ts';
import type { SimulatedClock } from './clock.ts';
import { SimulatedDisk } from './disk.ts';
import { Life } from './life.ts';
import { Programs, type Watcher } from './service.ts';

export const ROOT = '/srv/fleet';
/** Wall time when a simulation begins. */
const BEGINNING = Date.UTC(2026, 0, 1);

export interface HostParts {
  name: string;
  clock: SimulatedClock;
  random: Random;
  watcher: Watcher;
  onRename(to: string): void;
  onDiskFault(kind: 'disk full' | 'disk error'): void;
  /** A life of the agent has begun, and its past is in order. */
  onUp(host: SimulatedHost, agent: Agent, life: Life): void;
  log(line: string): void;
}

export class SimulatedHost {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly programs: Programs;
  illness: Illness = { full: false, failsIn: 0 };
  life: Life | undefined;
  readonly #parts: HostParts;
  readonly #random: Random;
  readonly #instance: string;

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.#random = parts.random.fork();
    this.disk = new SimulatedDisk(() => BEGINNING + parts.clock.now());
    this.programs = new Programs(parts.clock, parts.random.fork(), parts.watcher);
    this.#instance = `00000000-0000-4000-8000-${parts.name.charCodeAt(0).toString().padStart(12, '0')}`;
    this.disk.makeFolders(ROOT);
    for (const made of ['/', '/srv']) this.disk.sync(this.disk.folder(made));
  }

  /** Begins a life of the agent, now and, where it cannot begin, a second later. */
  async start(): Promise<void> {
    const { clock, log } = this.#parts;
    if (this.life !== undefined && !this.life.over) return;
    const life = new Life();
    this.life = life;
    try {
      const agent = await this.#open(life);
      log(`${this.name} agent up`);
      this.#parts.onUp(this, agent, life);
    } catch (error) {
      log(`${this.name} agent does not start: ${String(error)}`);
      life.end();
      clock.after(1000, () => void this.start());
    }
  }

  /** `kill -9`, and its supervisor starts it again after a while. What it ran goes on. */
  killAgent(backAfterMs: number): void {
    if (this.life === undefined || this.life.over) return;
    this.life.end();
    this.#parts.clock.after(backAfterMs, () => void this.start());
  }

  cutPower(backAfterMs: number): void {
    this.life?.end();
    this.programs.cutPower();
    this.disk.cutPower(this.#random);
    this.#parts.clock.after(backAfterMs, () => void this.start());
  }

  #open(life: Life): Promise<Agent> {
    const { clock, log, name, onRename, onDiskFault } = this.#parts;
    const { programs } = this;
    const disk = diskOf({
      disk: this.disk,
      illness: this.illness,
      life,
      clock,
      random: this.#random,
      onRename,
      onFault: onDiskFault,
    });
    const host: Host = {
      name,
      instance: this.#instance,
      root: ROOT,
      policy: createPolicy({ host: name, root: ROOT, joined: false, config: policyConfig.parse({}) }),
      disk,
      trust: UNSIGNED,
      run: programs.hookRunner(life),
      endLeftovers: async () => programs.endHooks(),
      runChecks: programs.checker(life),
      supervisorFor: () => programs.supervisorFor(life),
      own: notReplaceable(ROOT, disk),
      secrets: new KnownSecrets(),
      revive: (home) => life.act(() => programs.revive(basename(dirname(home)))),
      examine: () => Promise.reject(new Error('nobody looks at a simulated host')),
      environment: {},
      clock: () => clock.now(),
      now: () => BEGINNING + clock.now(),
      log: { info() {}, warn() {}, error: (data: object) => log(`${name} agent: ${JSON.stringify(data)}`) },
      leaving: new AbortController().signal,
    };
    const labels = { environment: 'production', role: name < 'b' ? 'first' : 'other' };
    return openAgent(host, { labels, epochs: `${ROOT}/.epochs.json`, journal: `${ROOT}/.journal` });
  }
}
