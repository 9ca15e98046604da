/**
 * One step of a plan: a host, what is done, and everything that doing it needs. Steps are values: planned, printed, stored,
 * read back and only then done, by the driver of their kind in steps/.
 */
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import { digest, keptValues, versionName } from '@fleet/protocol/words.ts';
import { z } from 'zod';

const skip = z.array(z.string());
const version = { version: versionName };
const release = { ...version, identity: digest };
const values = keptValues;

export const stepArgs = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('stage'), ...release }),
  z.strictObject({ kind: z.literal('once'), ...version, name: z.string(), values }),
  z.strictObject({ kind: z.literal('hide'), server: z.string(), minVisible: z.int() }),
  z.strictObject({
    kind: z.literal('drain'),
    server: z.string(),
    timeoutMs: z.number(),
    onTimeout: z.enum(['go_on', 'fail']),
  }),
  z.strictObject({ kind: z.literal('activate'), ...release }),
  z.strictObject({ kind: z.literal('restart'), ...version, values, lenientStop: z.boolean() }),
  z.strictObject({ kind: z.literal('smoke'), ...version, values, skip }),
  z.strictObject({ kind: z.literal('unhide'), server: z.string(), timeoutMs: z.number() }),
  z.strictObject({
    kind: z.literal('settle'),
    ...version,
    values,
    skip,
    ms: z.number(),
    server: z.string().nullable(),
  }),
  z.strictObject({ kind: z.literal('record'), ...release, values }),
]);
export type StepArgs = z.infer<typeof stepArgs>;
export type ArgsOf<K extends StepKind> = Extract<StepArgs, { kind: K }>;

export interface Step {
  host: string;
  rescue: boolean;
  args: StepArgs;
}

/** One host's steps, in order. */
export interface Lane {
  host: string;
  steps: Step[];
}

/** Lanes that may run at the same time, at most `parallel` of them; a phase begins when the one before it has ended well. */
export interface Phase {
  name: string;
  parallel: number;
  lanes: Lane[];
}

/** What a step does, in the words that a plan and a progress line show. */
export function says(args: StepArgs): string {
  switch (args.kind) {
    case 'stage':
      return `bring ${args.version} to the host and verify it`;
    case 'once':
      return `run ${args.name} of ${args.version}, once`;
    case 'hide':
      return `take ${args.server} out of the balancer, leaving at least ${args.minVisible}`;
    case 'drain':
      return `let open sessions end, at most ${args.timeoutMs / 1000}s`;
    case 'activate':
      return `make ${args.version} current`;
    case 'restart':
      return `restart the service as ${args.version}`;
    case 'smoke':
      return `smoke test ${args.version}${args.skip.length > 0 ? `, without ${args.skip.join(', ')}` : ''}`;
    case 'unhide':
      return `show ${args.server} again, and wait until the balancer reports it up`;
    case 'settle':
      return `watch it for ${args.ms / 1000}s`;
    case 'record':
      return `verify what runs, and record the rollback point`;
  }
}
