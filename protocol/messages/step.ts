/** What is done to a service on a host. No message carries a command line: hooks are named, and the sealed fleet.yaml says what they run. */
import { z } from 'zod';
import { digest, secrets, serviceName, values, versionName } from '../words.ts';
import { command } from './command.ts';

/** `recovering`: up again after a crash, and not for long enough to be called well. */
export const serviceState = z.enum(['running', 'recovering', 'stopped', 'failed', 'unknown']);
export type ServiceState = z.infer<typeof serviceState>;

/** The end of what a program printed, at most 16 KiB, and how many bytes before it are not here. */
export const output = z.strictObject({ text: z.string().max(64 * 1024), dropped: z.int().min(0) });

/**
 * Stop what runs, by the release that it runs from; start what `current` names. `lenientStop`: a stop hook or command that
 * fails does not end the restart (a rollback must not depend on the release that it leaves).
 */
export const restart = {
  request: z.strictObject({
    command,
    service: serviceName,
    version: versionName,
    values,
    secrets,
    lenientStop: z.boolean(),
  }),
  /** `stopMs`, `startMs`: the application's own time, so that the tool's can be told apart. */
  reply: z.strictObject({ changed: z.boolean(), output, stopMs: z.number(), startMs: z.number() }),
};

export const stop = {
  request: z.strictObject({ command, service: serviceName }),
  reply: z.strictObject({ changed: z.boolean() }),
};

/** Run a `once` step of a version that is staged on the host (it need not be current). */
export const once = {
  request: z.strictObject({
    command,
    service: serviceName,
    version: versionName,
    name: z.string().max(32),
    values,
    secrets,
  }),
  reply: z.strictObject({ output, ms: z.number() }),
};

/** The agent's own account of a service: what the recap is compared with. Nothing is changed. */
export const report = {
  request: z.strictObject({ service: serviceName }),
  reply: z.strictObject({
    current: versionName.nullable(),
    /** The version that the running process was started from. */
    running: versionName.nullable(),
    identity: digest.nullable(),
    state: serviceState,
    /** On disk, newest activation first. */
    releases: z.array(versionName),
  }),
};
