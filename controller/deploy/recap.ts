/**
 * The recap: a pure function of the steps and of what each agent itself reported at the end. Where the two disagree it says
 * so, and what is not known is never green.
 */

import type { Interruption } from '@fleet/protocol/api/interruptions.ts';
import type { PassedBy, Recap, RecapHost } from '@fleet/protocol/api/recap.ts';
import { CODES } from '@fleet/protocol/errors.ts';
import type { DeploymentRecord } from '../store/deployments.ts';
import type { StepRecord } from '../store/steps.ts';
import type { FinalReport, HostFacts } from './facts.ts';
import { toldMemo } from './steps/takeIn.ts';

export interface RecapInput {
  deployment: DeploymentRecord;
  hosts: ReadonlyArray<{ facts: HostFacts; report: FinalReport | null }>;
  steps: readonly StepRecord[];
  interruptions: readonly Interruption[];
  passedBy: readonly PassedBy[];
  /** Of the version that is deployed; null before there is one. */
  identity: string | null;
  now: Date;
  /** The deployment ends with this recap, although its row does not say so yet. */
  ending: boolean;
}

export function recapOf(input: RecapInput): Recap {
  const { deployment, identity } = input;
  const target = { version: deployment.version, identity };
  const over = input.ending || deployment.endedAt !== null;
  const hosts = input.hosts.map(({ facts, report }) => {
    const steps = input.steps.filter((step) => step.host === facts.host);
    return {
      ...hostRecap(
        target,
        facts,
        report,
        steps,
        input.interruptions.filter((each) => each.host === facts.host).map((each) => says(each, over)),
      ),
      green: isGreen(target, report, steps),
      before: isAsBefore(facts, report),
    };
  });
  const ended = deployment.endedAt === null ? input.now : new Date(deployment.endedAt);
  const planned = hosts.length > 0;
  const green = planned && hosts.every((host) => host.green) && deployment.failure === null;
  const before = planned && hosts.every((host) => host.before);
  return {
    deployment: deployment.id,
    service: deployment.service,
    version: deployment.version,
    environment: deployment.environment,
    state: over ? stateOf(deployment, planned, green, before) : 'running',
    durationMs: ended.getTime() - new Date(deployment.startedAt).getTime(),
    hosts: hosts.map(({ green: _, before: __, ...host }) => host),
    failure: deployment.failure,
    interruptions: [...input.interruptions],
    passedBy: [...input.passedBy],
    // Where one host catches up, a rollback of its environment is no way back for it.
    before:
      deployment.apart !== null
        ? []
        : [...new Set(input.hosts.flatMap(({ facts }) => facts.prior?.version ?? []))].sort(),
    exit: over ? exitOf(deployment, planned, green, before) : 1,
  };
}

/** The hosts that are not verified on the version, or had a step that did not go well. */
export function hostsNotGreen({ deployment, hosts, steps, identity }: RecapInput): string[] {
  const target = { version: deployment.version, identity };
  return hosts
    .map(({ facts: { host }, report }) => ({
      host,
      report,
      mine: steps.filter((step) => step.host === host),
    }))
    .filter(({ report, mine }) => !isGreen(target, report, mine))
    .map(({ host }) => host);
}

function stateOf(
  deployment: DeploymentRecord,
  planned: boolean,
  green: boolean,
  before: boolean,
): Recap['state'] {
  if (green) return 'succeeded';
  if (deployment.state === 'aborting' || deployment.state === 'aborted') return 'aborted';
  if (!planned && deployment.failure !== null)
    return exitOf(deployment, planned, green, before) === 3 ? 'refused' : 'failed';
  return before ? 'restored' : 'failed';
}

/** 0 all verified on the version; 5 failed, and all verified on what they ran before; else 1. Before a plan, the error decides. */
function exitOf(deployment: DeploymentRecord, planned: boolean, green: boolean, before: boolean): number {
  if (!planned && deployment.failure !== null) {
    const { code } = deployment.failure;
    return Object.hasOwn(CODES, code) ? CODES[code as keyof typeof CODES].exit : 1;
  }
  if (green) return 0;
  return before ? 5 : 1;
}

/** A version with its content. */
interface Target {
  version: string | null;
  identity: string | null;
}

function isGreen(target: Target, report: FinalReport | null, steps: readonly StepRecord[]): boolean {
  const well = steps.every(
    (step) =>
      !step.rescue && (step.outcome === 'ok' || step.outcome === 'changed' || step.outcome === 'ignored'),
  );
  return well && report !== null && runs(report, target);
}

function runs(report: FinalReport, { version, identity }: Target): boolean {
  return (
    report.known &&
    report.running === version &&
    report.current === version &&
    report.identity === identity &&
    report.state === 'running'
  );
}

function isAsBefore(facts: HostFacts, report: FinalReport | null): boolean {
  if (report === null || report.hidden !== facts.hiddenByFleet) return false;
  if (facts.prior === null) return report.known && report.running === null && report.current === null;
  return runs(report, facts.prior);
}

function hostRecap(
  target: Target,
  facts: HostFacts,
  report: FinalReport | null,
  all: readonly StepRecord[],
  interrupted: readonly string[],
): RecapHost {
  // Staging that went well touched nothing that a request could notice: a host that only got that far counts as never started.
  const steps = all.filter(
    (step) => step.kind !== 'stage' || (step.outcome !== 'ok' && step.outcome !== 'changed'),
  );
  const count = (...outcomes: Array<StepRecord['outcome']>) =>
    steps.filter((step) => outcomes.includes(step.outcome)).length;
  const rescue = steps.filter((step) => step.rescue);
  const rescued =
    rescue.length > 0 && rescue.every((step) => step.outcome === 'ok' || step.outcome === 'changed');
  const unknown = report !== null && !report.known;
  const unreachable = count('unreachable');
  return {
    host: facts.host,
    ok: count('ok', 'changed'),
    changed: count('changed'),
    unreachable: unknown ? Math.max(1, unreachable) : unreachable,
    failed: count('failed'),
    skipped: count('skipped'),
    rescued: rescued ? 1 : 0,
    ignored: count('ignored'),
    running: report?.known ? report.running : null,
    notes: [...interrupted, ...notesOf(target, report, all)],
  };
}

/** What became of an interrupted hook: the recap must not be read as if nothing had happened. */
function says({ hook, version, decision }: Interruption, over: boolean): string {
  const what = `${hook} of ${version} was interrupted`;
  if (decision === null)
    return over ? `${what}, and nobody knows how far it came` : `${what}, and waits for a person`;
  const { take, by, why } = decision;
  return `${what}; ${by} ${take === 'done' ? 'skipped it' : 'had it run again'}${why === null ? '' : `: ${why}`}`;
}

function notesOf(target: Target, report: FinalReport | null, steps: readonly StepRecord[]): string[] {
  const notes: string[] = [];
  const recorded =
    steps.some((step) => step.kind === 'record' && step.outcome === 'ok') &&
    !steps.some((step) => step.rescue);
  if (report?.hidden)
    notes.push('stays hidden in the balancer until a deployment or rollback brings it back');
  if (steps.some((step) => step.kind === 'hide' && isForeign(step.memo)))
    notes.push('was hidden by somebody else before, and stays so');
  for (const { memo } of steps) {
    const { data } = toldMemo.safeParse(memo);
    if (data && !notes.includes(data.told)) notes.push(data.told);
  }
  if (report === null) return notes;
  if (!report.known) notes.push(`not known what runs: ${report.why}`);
  else if (recorded && !runs(report, target)) {
    const same = report.current !== target.version || report.identity === target.identity;
    const content = same ? '' : ' with other content';
    notes.push(
      `was verified on ${target.version}, and now reports current ${report.current ?? 'none'}${content}, running ${report.running ?? 'none'} (${report.state})`,
    );
  } else if (report.running !== report.current) {
    notes.push(`current is ${report.current ?? 'none'}, but ${report.running ?? 'nothing'} runs`);
  }
  return notes;
}

function isForeign(memo: unknown): boolean {
  return typeof memo === 'object' && memo !== null && 'foreign' in memo && memo.foreign === true;
}
