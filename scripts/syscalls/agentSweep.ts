/** One system call of an agent that stages, activates and prunes goes wrong; and afterwards nothing is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { currentOf, faultsOfHost, faultsOfRelease, leftOversOf } from '../powerCuts/hostDisk.ts';
import { type Call, poolThread, type Trace, traceThread } from '../tracing/strace.ts';
import { AgentProgram } from './agentProgram.ts';
import { faultsOfOrder } from './order.ts';
import { CALLS, type Fault, type Point, pointsOf } from './points.ts';

/** `files`: where Node does asynchronous work on files. `unpacking`: what lives for one artifact, as root a process of its own. */
export type Thread = 'files' | 'unpacking';

export interface Hit {
  program: 'agent' | 'controller';
  thread: string;
  point: Point;
  /** The code that was answered, `null` where all went well all the same, `died`. */
  answer: string | null;
  faults: string[];
}

/** Longer than a program takes to die. */
const NEVER_MS = 60_000;

export class AgentSweep {
  readonly agent: AgentProgram;
  readonly #service: number;

  private constructor(agent: AgentProgram) {
    this.agent = agent;
    this.#service = agent.servicePid();
  }

  static async open(): Promise<AgentSweep> {
    const sweep = new AgentSweep(await AgentProgram.open());
    // From here on every round is the same: three releases stay, one goes.
    for (let round = 0; round < 3; round++) await sweep.agent.deploy(sweep.agent.next());
    return sweep;
  }

  /** A round in which nothing goes wrong: what there is to hit, and whether it is in the right order. */
  async look(thread: Thread, faults: readonly Fault[]): Promise<{ points: Point[]; disorder: string[] }> {
    const calls = (await this.#round(thread)).calls;
    const own = calls.filter(({ text }) => text.includes(`${this.agent.dir}/`));
    return {
      points: pointsOf(calls, this.agent.dir, faults),
      disorder: thread === 'files' ? faultsOfOrder(own) : [],
    };
  }

  /** Null where the call that was hit was another one than meant, such as one of Node's own. */
  async hit(thread: Thread, point: Point): Promise<Hit | null> {
    const { agent } = this;
    const id = agent.controller.command().id;
    const { version, answer, calls } = await this.#round(thread, point, id);
    const died = await agent.revive();
    const call = calls.find(({ injected }) => injected) ?? (died ? calls.at(-1) : undefined);
    const meant = call?.name === point.call && call.text.includes(`${agent.dir}/`);
    const faults: string[] = [];
    if (currentOf(agent.home) === null) faults.push('current is gone');
    else faults.push(...faultsOfRelease(agent.home, currentOf(agent.home)!));
    if (point.fault === 'error=ENOSPC' && answer !== null && !died && !FULL.has(answer))
      faults.push(`a full disk is told as ${answer}`);
    if (mayDie(thread, point) !== died) faults.push(died ? 'it died' : 'it was to die, and lives');

    // The same command comes again, as a controller sends it that has had no answer.
    const again = await agent.deploy(version, died ? id : undefined);
    if (again !== null) faults.push(`the next try ended with ${again}`);
    if (currentOf(agent.home) !== version.manifest.version)
      faults.push(`after the next try current is ${currentOf(agent.home)}`);
    faults.push(...faultsOfHost(agent.home, agent.data));
    // What could not be removed because removing itself failed goes at the next start.
    if (!died && removes(point)) await agent.restart();
    faults.push(...leftOversOf(agent.home, agent.data).map((name) => `left behind: ${name}`));
    if (agent.servicePid() !== this.#service || !lives(this.#service))
      faults.push('the service is not the process that it was');
    return meant ? { program: 'agent', thread, point, answer: died ? 'died' : answer, faults } : null;
  }

  async #round(thread: Thread, point?: Point, id?: string) {
    const { agent } = this;
    const version = agent.next();
    const death = new AbortController();
    const dead = agent.ended().then(() => death.abort());
    let tracing: Promise<Trace>;
    let deploying: Promise<string | null>;
    if (thread === 'files') {
      tracing = traceThread(poolThread(agent.pid), CALLS, point);
      await tracing;
      deploying = agent.deploy(version, id);
    } else {
      tracing = UNPACKS_APART ? agent.traceNextChild(point) : agent.traceNextThread(point);
      deploying = agent.deploy(version, id);
    }
    const answer = await deploying;
    const trace = await tracing;
    if (answer === 'link_lost' || (point && mayDie(thread, point) && answer !== null))
      await Promise.race([dead, sleep(NEVER_MS, undefined, { ref: false })]);
    const calls: Call[] = await trace.stop();
    return { version, answer, calls };
  }

  close(): Promise<void> {
    return this.agent.close();
  }
}

/** What a person can make sense of: no room, or a transfer that did not end. */
const FULL: ReadonlySet<string> = new Set(['disk_full']);

/** By nobody, who can die alone. */
const UNPACKS_APART = process.getuid?.() === 0;

function mayDie(thread: Thread, { fault }: Point): boolean {
  return fault === 'signal=SIGKILL' && !(thread === 'unpacking' && UNPACKS_APART);
}

function removes({ call, place }: Point): boolean {
  return call === 'unlink' || call === 'rmdir' || place.startsWith('openat root/web/staging/*');
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
