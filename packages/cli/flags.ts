/** Options that several verbs share, each declared once, and how their values are read. */
import { batch as batchSchema } from '@fleet/protocol/api/plans.ts';
import { duration } from '@fleet/protocol/words.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Names the controller; every verb that asks it something has this. */
export interface Reach {
  controller?: string;
}
export interface Reporting extends Reach {
  json?: boolean;
}
export interface Targets {
  environment?: string;
  host?: string[];
  role?: string[];
}
export interface Rolling {
  batch?: string[];
  serial?: boolean;
  soak?: number;
}
export interface Reasons {
  skipCheck?: string[];
  message?: string;
}

export const reach = () =>
  new Option(
    '--controller <url>',
    'the controller’s address (default: FLEET_CONTROLLER, else that of `fleet login`)',
  );
export const json = (prints = 'print the controller’s reply as one JSON document') =>
  new Option('--json', prints);
export const environment = () =>
  new Option('-e, --environment <name>', 'may be left out where the service is in one environment only');

export const batch = () =>
  new Option(
    '--batch <sizes>',
    'hosts out at the same time, batch after batch, like 1,5,20%; the last repeats',
  ).argParser(readBatch);

export const waitingHost = () =>
  new Option('--host <name>', 'only this host, where the deployment waits for several');

export function addTargets(command: Command): Command {
  return command
    .addOption(environment())
    .addOption(
      new Option('--host <names>', 'only these hosts: a,b or web-*; may be repeated').argParser(list),
    )
    .addOption(new Option('--role <names>', 'only hosts with these roles; may be repeated').argParser(list));
}

/** What to deploy and how to go over the hosts: `plan` takes exactly what `deploy` takes. */
export function addRolling(command: Command): Command {
  return command
    .addOption(new Option('--version <version>', 'a version that has been built').conflicts('ref'))
    .addOption(
      new Option('--ref <ref>', 'a branch, tag or commit to build (default: the one in controller.yaml)'),
    )
    .addOption(batch())
    .addOption(
      new Option(
        '--serial',
        'one host at a time, the default where controller.yaml says nothing else (same as --batch 1)',
      ).conflicts('batch'),
    )
    .addOption(
      new Option('--soak <duration>', 'how long a host must stay well before the next, like 2m').argParser(
        readDuration,
      ),
    );
}

export function addReasons(command: Command): Command {
  return command
    .addOption(
      new Option('--skip-check <names>', 'go on without these smoke checks; says why with -m').argParser(
        list,
      ),
    )
    .addOption(new Option('-m, --message <why>', 'why, for the history'));
}

/** Examples to copy, and whatever else the verb has to say, below the options. */
export function addExamples(command: Command, examples: string[], more = ''): Command {
  const lines = examples.map((example) => `  $ ${example}`).join('\n');
  return command.addHelpText('after', `\nExamples:\n${lines}${more && `\n\n${more}`}`);
}

export const WATCHING_EXITS = `Exit status:
  0  every targeted host is verified on the version       1  failed, unreachable, unknown or mixed
  2  wrong use or configuration                           3  refused by a gate or a lock, nothing changed
  4  the controller does not answer                       5  failed, and every host runs what it ran before
  130  Ctrl-C or a closed terminal stops watching only: the deployment goes on`;

/** `a,b` and `--host a --host b` say the same. */
export function list(value: string, before: string[] = []): string[] {
  const names = value
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  if (names.length === 0) throw new InvalidArgumentError('It names nothing.');
  return [...before, ...names];
}

function readBatch(value: string): string[] {
  const sizes = batchSchema.safeParse(value.split(',').map((size) => size.trim()));
  if (!sizes.success)
    throw new InvalidArgumentError('A batch is a list of numbers or percentages, like 1,5,20%.');
  return sizes.data;
}

function readDuration(value: string): number {
  const milliseconds = duration.safeParse(value);
  if (!milliseconds.success)
    throw new InvalidArgumentError('A duration is written like 500ms, 30s, 5m or 1h.');
  return milliseconds.data;
}

export function readNumber(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('It is a number, like 42.');
  return Number(value);
}
