/** The host of an agent loses its power in the middle of a deployment; the controller, on another disk, does not. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../local/program.ts';
import { type Call, poolThread, traceThread } from '../tracing/strace.ts';
import { type Cut, inWords, type Moment, placeOf } from './cuts.ts';
import { currentOf, epochOf, faultsOfHost, faultsOfRelease, leftOversOf } from './hostDisk.ts';
import { HOST, openScene, type Scene, SERVICE, type Shown } from './scene.ts';

const VERSIONS = ['1.0.0', '1.1.0', '1.2.0', '1.3.0'];

export class AgentSide {
  readonly scene: Scene;
  readonly #agentData: string;
  #deployments = 0;

  private constructor(scene: Scene) {
    this.scene = scene;
    this.#agentData = join(scene.fleet.rootOf(HOST), '.agent');
  }

  static async open(): Promise<AgentSide> {
    const scene = await openScene('agent');
    const side = new AgentSide(scene);
    try {
      await scene.fleet.start();
      for (const version of VERSIONS) await scene.build(version);
      const faults = await side.#deployWell();
      if (faults.length > 0) throw new Error(faults.join('\n'));
    } catch (error) {
      await scene.remove();
      throw error;
    }
    return side;
  }

  /** How long a deployment takes that nothing happens to. */
  async measure(): Promise<number> {
    const from = performance.now();
    await this.#deployWell();
    return performance.now() - from;
  }

  /** Null where the deployment ended before the moment came: there are no more such calls. */
  async cut(moment: Moment): Promise<Cut | null> {
    const { scene } = this;
    const { fleet } = scene;
    const disk = scene.disk!;
    const agent = fleet.agents.get(HOST)!;
    // A controller that has just started has an epoch that the agent has not seen.
    await this.#restartController();
    const trace =
      'call' in moment
        ? await traceThread(poolThread(agent.pid), [moment.call], {
            call: moment.call,
            nth: moment.nth,
            fault: 'signal=SIGKILL',
          })
        : undefined;
    const [id, version] = this.#next();
    let over = false;
    const deploying = fleet.run(['deploy', SERVICE, '--version', version]).finally(() => {
      over = true;
    });
    if ('afterMs' in moment) await sleep(moment.afterMs);
    else await Promise.race([agent.ended, deploying]);
    if (trace && over) {
      await trace.stop();
      return null;
    }
    await disk.cut(agent.pid);
    const calls = (await trace?.ended) ?? [];
    disk.mount();

    const shown = await scene.shown(id);
    const { faults, acknowledged } = this.#look(version, shown);
    await fleet.startAgent(HOST);
    const ran = await deploying;
    // A host that is away while its deployment is planned is unreachable, and said to be.
    const fair = shown === null || shown.steps.length === 0 ? [0, 1, 5] : [0, 5];
    if (!fair.includes(ran.code ?? -1))
      faults.push(`the deployment ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
    if (ran.code === 0 && currentOf(scene.home) !== version)
      faults.push(`it ended well, and current is ${currentOf(scene.home)}, not ${version}`);
    faults.push(...faultsOfHost(scene.home, this.#agentData));
    faults.push(...leftOversOf(scene.home, this.#agentData).map((name) => `left behind: ${name}`));
    faults.push(...(await this.#deployWell()));
    return { side: 'agent', moment, where: this.#where(moment, calls, shown), acknowledged, faults };
  }

  #look(version: string, shown: Shown | null): { faults: string[]; acknowledged: number } {
    const { home } = this.scene;
    const faults = faultsOfHost(home, this.#agentData);
    const done = (shown?.steps ?? []).filter((step) => step.outcome === 'ok' || step.outcome === 'changed');
    if (done.some(({ kind }) => kind === 'stage')) faults.push(...faultsOfRelease(home, version));
    if (done.some(({ kind }) => kind === 'activate') && currentOf(home) !== version)
      faults.push(`activating ${version} was acknowledged, and current is ${currentOf(home)}`);
    if (done.length > 0 && epochOf(this.#agentData) < this.scene.epoch())
      faults.push('an epoch that was obeyed is forgotten');
    return { faults, acknowledged: done.length };
  }

  #where(moment: Moment, calls: Call[], shown: Shown | null): string {
    const hit = calls.findLast(({ name }) => 'call' in moment && name === moment.call);
    if (hit) return placeOf(hit, this.scene.fleet.rootOf(HOST));
    const step = shown?.steps.find(({ state }) => state === 'running');
    return `${inWords(moment)}, ${step ? `in ${step.kind}` : 'between steps'}`;
  }

  /** Nothing is in the way of the next deployment. */
  async #deployWell(): Promise<string[]> {
    const [, version] = this.#next();
    const ran = await this.scene.fleet.run(['deploy', SERVICE, '--version', version]);
    if (ran.code !== 0) return [`the next deployment ended with ${ran.code}: ${ran.stdout}${ran.stderr}`];
    return faultsOfRelease(this.scene.home, version);
  }

  /** Its number and its version: four of them in turn, of which the host keeps two, so that each is sent again. */
  #next(): [id: number, version: string] {
    this.#deployments += 1;
    return [this.#deployments, VERSIONS[this.#deployments % VERSIONS.length]!];
  }

  async #restartController(): Promise<void> {
    const { fleet } = this.scene;
    await fleet.controller?.stop();
    await fleet.startController();
    await waitUntil('the agent is back', () => fleet.isConnected(HOST), fleet.controller);
  }

  close(): Promise<void> {
    return this.scene.remove();
  }
}
