/**
 * The plan of a deployment: a pure function from what the fleet is to the steps that change it. It can be printed
 * (`fleet plan`), stored, and tested as a value; nothing here asks or acts.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '@fleet/artifact/canonical.ts';
import type { Strategy } from '@fleet/config/controller.ts';
import type { Once } from '@fleet/protocol/service.ts';
import type { HostFacts } from './facts.ts';
import type { Lane, Phase, Step, StepArgs } from './step.ts';
import { inBatches } from './strategies/batches.ts';

export interface PlanInput {
  kind: 'deploy' | 'rollback';
  version: string;
  identity: string;
  /** In the order in which they are deployed. */
  hosts: readonly HostFacts[];
  strategy: Strategy;
  once: readonly Once[];
  /** The host that runs once steps. */
  onceOn: string;
  skipChecks: readonly string[];
}

export interface Plan {
  phases: Phase[];
  /** sha256 over everything that the plan would do: a changed value is a changed plan. */
  digest: string;
  /** Every host runs the version already, with the same values, and is well. */
  noop: boolean;
}

export function plan(input: PlanInput): Plan {
  const everywhere = input.hosts.every((host) => host.already);
  const noop = everywhere && input.hosts.every((host) => host.well && !host.hiddenByFleet && !host.absent);
  const phases = noop ? [] : everywhere ? [staging(input), ...batches(input)] : whole(input);
  return {
    phases,
    digest: digestOf(input, phases),
    noop,
  };
}

function whole(input: PlanInput): Phase[] {
  return [staging(input), ...onceSteps(input, 'before'), ...batches(input), ...onceSteps(input, 'after')];
}

/** The same however the values happen to be ordered, and whatever ran before: only what would be done counts. */
function digestOf({ kind, version, identity, strategy }: PlanInput, phases: readonly Phase[]): string {
  const done = canonicalJson({ kind, version, identity, strategy, phases });
  return createHash('sha256').update(done).digest('hex');
}

/** Everything is on every host and verified before the first one is touched. */
function staging(input: PlanInput): Phase {
  const { version, identity } = input;
  return {
    name: 'stage',
    parallel: input.strategy.stage_parallel,
    lanes: input.hosts.map((host) => lane(host.host, [{ kind: 'stage', version, identity }])),
  };
}

/** A rollback does not migrate: a way back for data is not the way there run again. */
function onceSteps(input: PlanInput, when: Once['when']): Phase[] {
  const steps = input.kind === 'rollback' ? [] : input.once.filter((once) => once.when === when);
  const host = input.hosts.find((each) => each.host === input.onceOn);
  if (steps.length === 0 || host === undefined) return [];
  const { version } = input;
  const args = steps.map(({ name }): StepArgs => ({ kind: 'once', version, name, values: host.values }));
  return [{ name: `once, ${when}`, parallel: 1, lanes: [lane(host.host, args)] }];
}

function batches(input: PlanInput): Phase[] {
  const groups = inBatches(input.hosts, input.strategy.batch);
  return groups.map((hosts, index) => ({
    name: `batch ${index + 1} of ${groups.length}`,
    parallel: hosts.length,
    lanes: hosts.map((host) => lane(host.host, host.already ? onlyVerify(input, host) : cycle(input, host))),
  }));
}

/** The life of one host: hide, drain, activate, restart, smoke, unhide, settle, record. */
function cycle(input: PlanInput, host: HostFacts): StepArgs[] {
  const { version, identity, strategy } = input;
  const { server, values } = host;
  const skip = [...input.skipChecks];
  const steps: StepArgs[] = [];
  if (server !== null) {
    steps.push({ kind: 'hide', server, minVisible: strategy.min_visible });
    steps.push({ kind: 'drain', server, timeoutMs: strategy.drain, onTimeout: strategy.on_drain_timeout });
  }
  steps.push({ kind: 'activate', version, identity });
  steps.push({ kind: 'restart', version, values, lenientStop: input.kind === 'rollback' });
  steps.push({ kind: 'smoke', version, values, skip });
  if (server !== null) steps.push({ kind: 'unhide', server, timeoutMs: strategy.unhide });
  if (strategy.settle > 0 && input.kind === 'deploy') {
    steps.push({ kind: 'settle', version, values, skip, ms: strategy.settle, server });
  }
  steps.push({ kind: 'record', version, identity, values });
  return steps;
}

/** A host that runs the version already is not restarted: it is checked, and shown again if fleet had left it hidden. */
function onlyVerify(input: PlanInput, host: HostFacts): StepArgs[] {
  const { version, identity, strategy } = input;
  const steps: StepArgs[] = [{ kind: 'smoke', version, values: host.values, skip: [...input.skipChecks] }];
  if (host.server !== null && (host.hiddenByFleet || host.absent)) {
    steps.push({ kind: 'unhide', server: host.server, timeoutMs: strategy.unhide });
  }
  steps.push({ kind: 'record', version, identity, values: host.values });
  return steps;
}

function lane(host: string, args: StepArgs[]): Lane {
  return { host, steps: args.map((each): Step => ({ host, rescue: false, args: each })) };
}
