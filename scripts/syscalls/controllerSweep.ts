/** The controller's database cannot be written or synced, or the controller dies just then, in the middle of a deployment. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../local/program.ts';
import { HOST, openScene, type Scene, SERVICE } from '../powerCuts/scene.ts';
import { type Call, traceThread } from '../tracing/strace.ts';
import type { Hit } from './agentSweep.ts';
import { type Fault, type Point, pointsOf } from './points.ts';

const CALLS = ['fsync', 'fdatasync', 'pwrite64'];
const VERSIONS = ['1.0.0', '1.1.0'];
const AFTERWARDS_MS = 1000;

export class ControllerSweep {
  readonly #scene: Scene;
  #deployments = 0;

  private constructor(scene: Scene) {
    this.#scene = scene;
  }

  static async open(): Promise<ControllerSweep> {
    const scene = await openScene(null);
    const sweep = new ControllerSweep(scene);
    try {
      await scene.fleet.start();
      for (const version of VERSIONS) await scene.build(version);
      for (const _ of VERSIONS) await sweep.#deploy();
    } catch (error) {
      await scene.remove();
      throw error;
    }
    return sweep;
  }

  /** What there is to hit in a deployment: calls of the main thread, which alone writes the database. */
  async look(faults: readonly Fault[]): Promise<Point[]> {
    const trace = await traceThread(this.#scene.fleet.controller!.pid, CALLS);
    await this.#deploy();
    const points = pointsOf(await trace.stop(), this.#scene.dir, faults);
    return points.filter(({ place }) => place.includes('fleet.sqlite'));
  }

  async hit(point: Point): Promise<Hit | null> {
    const { fleet } = this.#scene;
    const controller = fleet.controller!;
    const trace = await traceThread(controller.pid, CALLS, point);
    let over = false;
    const deploying = this.#deploy().finally(() => {
      over = true;
    });
    deploying.catch(() => {});
    await Promise.race([controller.ended, deploying]);
    const faults: string[] = [];
    // The last of its calls come after the deployment has been told as ended.
    if (over && point.fault !== 'error=ENOSPC') await Promise.race([controller.ended, sleep(AFTERWARDS_MS)]);
    const died = !controller.running();
    if (died) {
      const code = await controller.ended;
      if (point.fault === 'error=ENOSPC') faults.push(`it ended with ${code}, and need not have`);
      if (point.fault === 'error=EIO' && !(code === 1 && this.#saysWhy()))
        faults.push(`it ended with ${code}, and does not say why`);
      await fleet.startController();
      await waitUntil('the agent is back', () => fleet.isConnected(HOST), fleet.controller);
    }
    const calls: Call[] = await trace.stop();
    const was = calls.find(({ injected }) => injected) ?? (died ? calls.at(-1) : undefined);
    if (was?.injected && !died && point.fault !== 'error=ENOSPC') faults.push('it went on as if nothing was');
    if (was?.name !== point.call || !was.text.includes('fleet.sqlite')) {
      await deploying.catch(() => {});
      await this.#settled();
      return null;
    }
    await deploying.catch((error: Error) => faults.push(error.message));
    await this.#settled();
    return { program: 'controller', thread: 'main', point, answer: died ? 'died' : null, faults };
  }

  #saysWhy(): boolean {
    const said = readFileSync(`${this.#scene.dir}/controller.log`, 'utf8').trimEnd().split('\n');
    return said.slice(-3).some((line) => line.includes('the controller ends'));
  }

  /** Throws where it ended badly, or was lost although it had been accepted. */
  async #deploy(): Promise<void> {
    this.#deployments += 1;
    const version = VERSIONS[this.#deployments % VERSIONS.length]!;
    const ran = await this.#scene.fleet.run(['deploy', SERVICE, '--version', version]);
    const said = `${ran.stdout}${ran.stderr}`;
    // Whoever was never told a number does not know whether they were heard.
    const accepted = /deployment \d+/.test(said);
    if (ran.code !== 0 && (accepted || ran.code === null))
      throw new Error(`the deployment ended with ${ran.code}: ${said}`);
  }

  /** Whatever was begun has ended. */
  async #settled(): Promise<void> {
    const { url } = this.#scene.fleet;
    await waitUntil('no deployment is under way', async () => {
      const list = (await (await fetch(`${url}/api/deployments?limit=5`)).json()) as Array<{
        endedAt: string | null;
      }>;
      return list.every(({ endedAt }) => endedAt !== null);
    });
  }

  close(): Promise<void> {
    return this.#scene.remove();
  }
}
