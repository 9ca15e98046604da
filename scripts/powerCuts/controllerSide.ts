/** The controller loses its power while it builds and deploys; the host, on another disk, does not. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ran } from '../local/program.ts';
import { waitUntil } from '../local/program.ts';
import { type Call, poolThread, traceThread } from '../tracing/strace.ts';
import { type Acknowledged, countOf, faultsOfController } from './controllerDisk.ts';
import { type Cut, inWords, type Moment, placeOf } from './cuts.ts';
import { currentOf, faultsOfRelease } from './hostDisk.ts';
import { HOST, openScene, type Scene, SERVICE } from './scene.ts';

const LOOK_EVERY_MS = 10;

export class ControllerSide {
  readonly scene: Scene;
  readonly #told: Acknowledged = { epoch: 0, builds: [], ended: new Map(), under: null };
  #versions = 0;

  private constructor(scene: Scene) {
    this.scene = scene;
  }

  static async open(): Promise<ControllerSide> {
    const scene = await openScene('controller');
    const side = new ControllerSide(scene);
    try {
      await scene.fleet.start();
      side.#told.epoch = scene.epoch();
      const faults = await side.#goesOn();
      if (faults.length > 0) throw new Error(faults.join('\n'));
    } catch (error) {
      await scene.remove();
      throw error;
    }
    return side;
  }

  /** How long a build and its deployment take that nothing happens to. */
  async measure(): Promise<number> {
    const from = performance.now();
    await this.#goesOn();
    return performance.now() - from;
  }

  /** Null where the deployment ended before the moment came: there are no more such calls. */
  async cut(moment: Moment): Promise<Cut | null> {
    const { scene } = this;
    const controller = scene.fleet.controller!;
    const trace = await this.#traceUntil(moment, controller.pid);
    const version = this.#nextVersion();
    let over = false;
    const working = this.#work(version).finally(() => {
      over = true;
    });
    if ('afterMs' in moment) await sleep(moment.afterMs);
    else await Promise.race([controller.ended, working]);
    if (trace && over) {
      await trace.stop();
      return null;
    }
    await scene.disk!.cut(controller.pid);
    const calls = (await trace?.ended) ?? [];
    scene.disk!.mount();

    const told = { ...this.#told, ended: new Map(this.#told.ended), builds: [...this.#told.builds] };
    const faults = faultsOfController(scene.data, told);
    await scene.fleet.startController();
    this.#told.epoch = scene.epoch();
    if (this.#told.epoch <= told.epoch) faults.push(`epoch ${told.epoch} was used twice`);
    await waitUntil('the agent is back', () => scene.fleet.isConnected(HOST), scene.fleet.controller);
    const { building, deploying } = await working;
    // A command whose first answer was cut off does not know whether it was heard.
    if (deploying && told.under && ![0, 5].includes(deploying.code ?? -1))
      faults.push(`the deployment ended with ${deploying.code}: ${deploying.stdout}${deploying.stderr}`);
    if (deploying?.code === 0 && currentOf(scene.home) !== version)
      faults.push(`it ended well, and current is ${currentOf(scene.home)}, not ${version}`);
    if (building.code !== 0) {
      const again = await this.#build(version);
      if (again.code !== 0) faults.push(`building ${version} again: ${again.stdout}${again.stderr}`);
    }
    await this.#settled();
    faults.push(...(await this.#goesOn()));
    const where = this.#where(moment, calls, told, deploying === null);
    return { side: 'controller', moment, where, acknowledged: countOf(told), faults };
  }

  async #traceUntil(moment: Moment, pid: number) {
    if ('afterMs' in moment) return undefined;
    const { call, nth } = moment;
    const thread = moment.thread === 'main' ? pid : poolThread(pid);
    return traceThread(thread, [call], { call, nth, fault: 'signal=SIGKILL' });
  }

  /** Builds and deploys, and keeps what is told meanwhile. */
  async #work(version: string): Promise<{ building: Ran; deploying: Ran | null }> {
    const building = await this.#build(version);
    if (building.code !== 0) return { building, deploying: null };
    const id = Math.max(0, ...this.#told.ended.keys()) + 1;
    let over = false;
    const watching = (async () => {
      while (!over) {
        this.#told.under = (await this.scene.shown(id)) ?? this.#told.under;
        await sleep(LOOK_EVERY_MS);
      }
    })();
    const deploying = await this.scene.fleet.run(['deploy', SERVICE, '--version', version]);
    over = true;
    await watching;
    this.#told.under = null;
    return { building, deploying };
  }

  async #build(version: string): Promise<Ran> {
    const ran = await this.scene.build(version);
    if (ran.code === 0) this.#told.builds.push(version);
    return ran;
  }

  /** Whatever was begun has ended, and how it ended is told. */
  async #settled(): Promise<void> {
    const { url } = this.scene.fleet;
    await waitUntil('no deployment is under way', async () => {
      const list = (await (await fetch(`${url}/api/deployments?limit=500`)).json()) as Array<{
        id: number;
        exit: number | null;
        endedAt: string | null;
      }>;
      if (list.some(({ endedAt }) => endedAt === null)) return false;
      for (const { id, exit } of list) this.#told.ended.set(id, exit ?? -1);
      return true;
    });
  }

  /** The next build and its deployment succeed. */
  async #goesOn(): Promise<string[]> {
    const version = this.#nextVersion();
    const { building, deploying } = await this.#work(version);
    await this.#settled();
    const failed = [building, deploying].find((ran) => ran?.code !== 0);
    if (failed) return [`the next one ended with ${failed.code}: ${failed.stdout}${failed.stderr}`];
    return faultsOfRelease(this.scene.home, version);
  }

  #where(moment: Moment, calls: Call[], { under }: Acknowledged, building: boolean): string {
    const hit = calls.findLast(({ name }) => 'call' in moment && name === moment.call);
    if (hit) return placeOf(hit, this.scene.dir);
    const step = under?.steps.find(({ state }) => state === 'running');
    if (building) return `${inWords(moment)}, in the build`;
    return `${inWords(moment)}, ${step ? `in ${step.kind}` : 'between steps'}`;
  }

  #nextVersion(): string {
    this.#versions += 1;
    return `1.${this.#versions}.0`;
  }

  close(): Promise<void> {
    return this.scene.remove();
  }
}
