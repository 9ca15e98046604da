/** Rows for tests of the store, with what a test does not care about filled in. */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import type { NewStep } from './steps.ts';

export const asked = {
  kind: 'deploy',
  service: 'segmenter',
  environment: 'production',
  by: 'ann',
  why: null,
  request: {},
} as const;

export const note = (text: string): FleetEvent => ({ type: 'note', host: null, text });

export function sampleRecap(deployment: number): Recap {
  return {
    deployment,
    service: 'segmenter',
    version: '1.1.0',
    environment: 'production',
    state: 'succeeded',
    durationMs: 1,
    hosts: [],
    failure: null,
    interruptions: [],
    passedBy: [],
    before: [],
    exit: 0,
  };
}

export function sampleStep(step: number): NewStep {
  return {
    step,
    phase: 0,
    phaseName: 'stage',
    parallel: 8,
    host: 'a',
    kind: 'stage',
    rescue: false,
    args: { kind: 'stage', version: '1.1.0', identity: '0'.repeat(64) },
    says: 'bring it',
  };
}

export const samplePlan = (steps: number) => ({
  version: '1.1.0',
  digest: '0'.repeat(64),
  settings: { keep: 5 },
  hosts: [
    { host: 'b', facts: { host: 'b' } },
    { host: 'a', facts: { host: 'a' } },
  ],
  steps: Array.from({ length: steps }, (_, index) => sampleStep(index + 1)),
});
