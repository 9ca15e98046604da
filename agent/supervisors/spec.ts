/**
 * spec.json: what should run. It is there for as long as a service should, so it is the wish as well as the recipe, and it is
 * complete: a service is started again from it when neither the controller nor the release's manifest can be asked.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { bootId } from '@fleet/process/proc.ts';
import { needsSudo, signalPrefix } from '@fleet/process/sudo.ts';
import { launchAs, type User } from '@fleet/process/user.ts';
import type { Run, RunOf } from '@fleet/protocol/service.ts';
import { Redaction } from '@fleet/trust/redaction.ts';
import { realDisk } from '../disk/disk.ts';
import { ifThere, syncPath, writeDurably } from '../disk/durable.ts';
import type { Instance } from './supervisor.ts';

export interface Spec<R extends Run = Run> {
  service: string;
  version: string;
  release: string;
  /** With values in the place of variables. */
  run: R;
  environment: Record<string, string>;
  /** Whom its programs run as, if not the agent's own user. */
  user?: User | undefined;
  /** Values that its log and its messages leave out, by name; missing where there are none. */
  secrets?: Record<string, string>;
  /** The boot that it was started in. */
  boot: string;
  /** What systemd calls the start of its unit. */
  invocation?: string | undefined;
}
/** For a shim, which knows of users no more than this: what comes before the program, and what is in its environment then. */
export interface ProcessSpec extends Spec<RunOf<'process'>> {
  prefix?: string[];
  /** Where the shim may not signal its program: what does it, given the signal's name and the group. */
  signaller?: string[];
}
export type CommandSpec = Spec<RunOf<'command'>>;
export type SystemdSpec = Spec<RunOf<'systemd'>>;
export type SupervisordSpec = Spec<RunOf<'supervisord'>>;

const pathOf = (home: string) => join(home, 'spec.json');

/** What should run, undefined where nothing should. */
export async function wanted(home: string): Promise<Spec | undefined> {
  const text = await ifThere(readFile(pathOf(home), 'utf8'));
  return text === undefined ? undefined : (JSON.parse(text) as Spec);
}

/** Readable by the agent alone: values may be secrets. */
export async function want(home: string, spec: Spec): Promise<void> {
  await writeDurably(realDisk, pathOf(home), `${JSON.stringify(spec, null, 2)}\n`, 0o600);
}

export async function unwant(home: string): Promise<void> {
  if ((await ifThere(rm(pathOf(home)).then(() => true))) === true) await syncPath(realDisk, home);
}

export function isWanted(spec: Spec, found: Spec | undefined): boolean {
  // As they are read again: what is undefined is not there.
  const comparable = (each: Spec) =>
    JSON.parse(JSON.stringify({ ...each, boot: '', invocation: '' })) as unknown;
  return found !== undefined && isDeepStrictEqual(comparable(found), comparable(spec));
}

export function processSpecOf({ argvOf, ...instance }: Instance<RunOf<'process'>>): ProcessSpec {
  const { user, environment } = instance;
  const launch = user && launchAs(user, environment);
  return {
    ...recipeOf(instance),
    ...launch,
    ...(user && needsSudo(user) && { signaller: signalPrefix(user.name) }),
    run: { ...instance.run, command: argvOf(instance.run.command) },
  };
}

export function commandSpecOf({ argvOf, ...instance }: Instance<RunOf<'command'>>): CommandSpec {
  const { run } = instance;
  const resolved = { start: argvOf(run.start), stop: argvOf(run.stop), status: argvOf(run.status) };
  return { ...recipeOf(instance), run: { ...run, ...resolved } };
}

export function systemdSpecOf({ argvOf, ...instance }: Instance<RunOf<'systemd'>>): SystemdSpec {
  return { ...recipeOf(instance), run: commandIn(instance.run, argvOf) };
}

export function supervisordSpecOf({ argvOf, ...instance }: Instance<RunOf<'supervisord'>>): SupervisordSpec {
  return { ...recipeOf(instance), run: commandIn(instance.run, argvOf) };
}

function commandIn<R extends { command?: string[] | undefined }>(run: R, argvOf: Instance['argvOf']): R {
  return run.command === undefined ? run : { ...run, command: argvOf(run.command) };
}

function recipeOf({ service, version, release, environment, user, secrets }: Omit<Instance, 'argvOf'>) {
  const hidden = Object.keys(secrets).length > 0 && { secrets };
  return { service, version, release, environment, ...(user && { user }), ...hidden, boot: bootId() };
}

/** Takes the secrets of a service out of what it prints. */
export function redactionOf({ secrets = {} }: Pick<Spec, 'secrets'>): Redaction {
  return new Redaction(Object.entries(secrets).map(([name, value]) => ({ name, value })));
}
