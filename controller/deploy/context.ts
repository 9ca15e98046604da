/** What a deployment needs of the world. Everything is handed in, so that the same code runs in a simulation. */
import type { Balancer } from '@fleet/balancers/balancer.ts';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { ToldPolicy } from '@fleet/protocol/policy.ts';
import type { KeptValues } from '@fleet/protocol/words.ts';
import type { FleetConfig } from '../config/config.ts';
import type { Secrets } from '../secrets/secrets.ts';
import type { Signing } from '../signing/signing.ts';
import type { DeploymentRecord } from '../store/deployments.ts';
import type { Alongside } from '../store/events.ts';
import type { Store } from '../store/store.ts';
import type { Clock } from './clock.ts';
import type { Disk } from './disk.ts';
import type { HostFacts } from './facts.ts';
import type { ReleaseFiles } from './releaseFiles.ts';
import type { ArgsOf } from './step.ts';
import type { Turns } from './turns.ts';
import type { SentValues } from './values.ts';

/** The connected agents, as far as a deployment uses them. */
export interface Agents {
  isConnected(host: string): boolean;
  /** What a connected host says that its agent.yaml lets be done on it. */
  policyOf(host: string): ToldPolicy | undefined;
  whenConnected(host: string, signal: AbortSignal): Promise<void>;
  ask<K extends keyof AgentMethods>(
    host: string,
    method: K,
    body: Request<AgentMethods, K>,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Reply<AgentMethods, K>>;
  send(
    host: string,
    stream: {
      name: string;
      path: string;
      from: number;
      size: number;
      signal?: AbortSignal;
      onProgress?: (done: number) => void;
    },
  ): Promise<void>;
}

export interface Log {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

export interface Deps {
  config: FleetConfig;
  store: Store;
  agents: Agents;
  balancer(name: string): Balancer;
  clock: Clock;
  disk: Disk;
  turns: Turns;
  secrets: Secrets;
  log: Log;
  /** Null in development, where nothing is signed. */
  signing: Signing | null;
  /** Where the output of steps goes: OUTPUTS/DEPLOYMENT/STEP.log. */
  outputs: string;
  /** Agents that were there before may still be on their way back until then, by the clock. */
  settledAt: number;
  /** Fires when the controller is asked to stop: deployments park at a step boundary and go on after the next start. */
  parking: AbortSignal;
}

/** One step at work. */
export interface StepContext<K extends StepKind = StepKind> {
  deployment: DeploymentRecord;
  args: ArgsOf<K>;
  facts: HostFacts;
  step: number;
  deps: Deps;
  /** How long a host that stops answering may take to come back, in milliseconds. */
  patienceMs: number;
  /** The same at each try of this step, so that the agent does it once. `part` tells several commands of one step apart. */
  command(part?: string): Command;
  /** Asks this step's host; waits for it to come back when the link is lost, as long as patience lasts. */
  ask<M extends keyof AgentMethods>(
    method: M,
    body: Request<AgentMethods, M>,
    options: { timeoutMs: number },
  ): Promise<Reply<AgentMethods, M>>;
  /** Values as they are sent to this step's host; secrets are read once a step. */
  open(kept: KeptValues): Promise<SentValues>;
  /** The environment's balancer, where it has one. */
  balancer: { driver: Balancer; backend: string; name: string } | null;
  /** The files of a version on the controller. */
  release(version: string): Promise<ReleaseFiles>;
  /** What an earlier try of this step remembered. */
  memo: unknown;
  remember(memo: unknown): Promise<void>;
  progress(done: number, of: number, unit: string): void;
  signal: AbortSignal;
}

export interface StepResult {
  outcome: 'ok' | 'changed';
  /** One line for people. */
  message: string;
  /** What programs printed. */
  output?: string;
  /** Written in the transaction that ends the step. */
  also?: Alongside;
}

/** The work of one kind of step. It begins by asking what already holds, because it may be its second try. */
export interface StepDriver<K extends StepKind> {
  kind: K;
  perform(context: StepContext<K>): Promise<StepResult>;
}
