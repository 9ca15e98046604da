/** For tests: what a controller tells of a deployment of two hosts. */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Interruption } from '@fleet/protocol/api/interruptions.ts';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { Recap, RecapHost } from '@fleet/protocol/api/recap.ts';

export const TOPIC = 'deployment/42';

export const started: Extract<FleetEvent, { type: 'deployment.started' }> = {
  type: 'deployment.started',
  service: 'segmenter',
  environment: 'production',
  version: '1.1.0',
  hosts: ['a', 'web-b'],
  kind: 'deploy',
};

type Step = Extract<FleetEvent, { type: 'step.ended' }>;
export function stepEnded(step: number, kind: StepKind, host: string, more: Partial<Step> = {}): FleetEvent {
  return {
    type: 'step.ended',
    step,
    kind,
    host,
    rescue: false,
    outcome: 'changed',
    ms: 0,
    message: null,
    ...more,
  };
}

/** A hook that waits for a person. */
export const interruption: Interruption = {
  step: 7,
  host: 'a',
  kind: 'restart',
  hook: 'after_start',
  version: '1.1.0',
  run: 1,
  since: '2026-11-21T09:31:00.000Z',
  decision: null,
};

export function recapHost(host: string, more: Partial<RecapHost> = {}): RecapHost {
  const none = { ok: 0, changed: 0, unreachable: 0, failed: 0, skipped: 0, rescued: 0, ignored: 0 };
  return { host, ...none, running: null, notes: [], ...more };
}

export function recapOf(more: Partial<Recap> = {}): Recap {
  return {
    deployment: 42,
    service: 'segmenter',
    version: '1.1.0',
    environment: 'production',
    state: 'succeeded',
    durationMs: 72_000,
    hosts: ['a', 'web-b'].map((host) => recapHost(host, { ok: 6, changed: 2, running: '1.1.0' })),
    failure: null,
    passedBy: [],
    interruptions: [],
    before: ['1.0.0'],
    exit: 0,
    ...more,
  };
}

export function ended(more: Partial<Recap> = {}): FleetEvent {
  return { type: 'deployment.ended', recap: recapOf(more) };
}
