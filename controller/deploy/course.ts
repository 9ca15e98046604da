/** A deployment under way: its rows, read once and kept in step with the database by the one runner that it has. */

import { FleetError } from '@fleet/protocol/errors.ts';
import type { DeploymentRecord } from '../store/deployments.ts';
import type { NewStep, StepRecord } from '../store/steps.ts';
import type { Deps } from './context.ts';
import { type HostFacts, hostFacts } from './facts.ts';
import { type ReleaseFiles, readRelease } from './releaseFiles.ts';
import { type Settings, settings } from './settings.ts';
import { type Phase, type StepArgs, says } from './step.ts';

export interface Course {
  deployment: DeploymentRecord;
  settings: Settings;
  hosts: HostFacts[];
  steps: StepRecord[];
  deps: Deps;
  release(version: string): Promise<ReleaseFiles>;
}

export async function loadCourse(id: number, deps: Deps): Promise<Course> {
  const deployment = await deps.store.deployments.get(id);
  const hosts = await deps.store.deployments.hosts(id);
  return {
    deployment,
    settings: settings.parse(deployment.settings),
    hosts: hosts.map((host) => hostFacts.parse(host.facts)),
    steps: await deps.store.steps.list(id),
    deps,
    release: releases(deployment.service, deps),
  };
}

/** Each version's files are read and decoded once a course. */
function releases(service: string, deps: Deps): Course['release'] {
  const known = new Map<string, Promise<ReleaseFiles>>();
  const read = async (version: string) => {
    const record = await deps.store.artifacts.byVersion(service, version);
    if (record === undefined) throw unknownVersion(service, version);
    return readRelease(record, deps.disk);
  };
  return (version) => {
    const release = known.get(version) ?? read(version);
    known.set(version, release);
    return release;
  };
}

export function unknownVersion(service: string, version: string): FleetError {
  return new FleetError('unknown_version', `${service} ${version} has not been built`, {
    next: `fleet releases ${service} lists the versions; fleet build ${service} --ref REF makes one`,
  });
}

export function factsOf(course: Course, host: string): HostFacts {
  const facts = course.hosts.find((each) => each.host === host);
  if (facts === undefined) throw new Error(`deployment ${course.deployment.id} has no host ${host}`);
  return facts;
}

export interface RecordedPhase {
  name: string;
  parallel: number;
  lanes: Array<{ host: string; steps: StepRecord[] }>;
}

/** The planned steps by phase and lane; the ways back are not among them. */
export function plannedPhases(course: Course): RecordedPhase[] {
  const phases: RecordedPhase[] = [];
  for (const step of course.steps) {
    if (step.rescue) continue;
    const phase = phases[step.phase] ?? { name: step.phaseName, parallel: step.parallel, lanes: [] };
    phases[step.phase] = phase;
    const lane = phase.lanes.find((each) => each.host === step.host);
    if (lane) lane.steps.push(step);
    else phase.lanes.push({ host: step.host, steps: [step] });
  }
  return phases;
}

export function rescueSteps(course: Course, host: string): StepRecord[] {
  return course.steps.filter((step) => step.rescue && step.host === host);
}

/** Adds a way back behind the planned steps, stored before it begins. */
export async function addRescue(course: Course, host: string, args: StepArgs[]): Promise<StepRecord[]> {
  const last = course.steps.at(-1);
  const first = (last?.step ?? 0) + 1;
  const added = args.map(
    (each, index): StepRecord => ({
      step: first + index,
      phase: last?.phase ?? 0,
      phaseName: 'way back',
      parallel: 1,
      host,
      kind: each.kind,
      rescue: true,
      args: each,
      says: says(each),
      ...NOT_BEGUN,
    }),
  );
  // Numbered and taken in one tick: lanes add theirs at the same time.
  course.steps.push(...added);
  await course.deps.store.steps.add(course.deployment.id, added);
  return added;
}

const NOT_BEGUN = {
  state: 'pending',
  outcome: null,
  memo: null,
  message: null,
  error: null,
  startedAt: null,
  ms: null,
} as const;

/** The rows of a plan. */
export function rowsOf(phases: readonly Phase[]): NewStep[] {
  let number = 0;
  return phases.flatMap((phase, index) =>
    phase.lanes.flatMap((lane) =>
      lane.steps.map(
        (step): NewStep => ({
          step: ++number,
          phase: index,
          phaseName: phase.name,
          parallel: phase.parallel,
          host: lane.host,
          kind: step.args.kind,
          rescue: step.rescue,
          args: step.args,
          says: says(step.args),
        }),
      ),
    ),
  );
}
