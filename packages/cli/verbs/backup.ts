import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Reply } from '@fleet/protocol/api/routes.ts';
import { CODES, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { Command } from 'commander';
import { type Cli, STOPPED_WATCHING } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { formatBytes } from '../print/bytes.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { reachController } from '../reach.ts';

const LOOK_MS = 200;

export function define(command: Command, cli: Cli): void {
  command
    .argument('<directory>', 'a new folder on the controller’s machine')
    .addOption(reach())
    .addOption(json('print the backup as one JSON document'))
    .action((directory: string, options: Reporting) => backup(cli, resolve(directory), options));
  addExamples(
    command,
    ['fleet backup /backups/monday', 'fleet backup "/backups/$(date +%F)" --json'],
    `Database and artifacts, consistent also while a deployment runs, and checked. The controller writes it: copy the folder
to another machine. fleet restore brings it back.

Exit status: 0 the backup is there and checked, 1 it failed, 2 wrong use, or the folder exists, 4 the controller does
not answer, 130 stopped watching: the backup goes on`,
  );
}

async function backup(cli: Cli, directory: string, options: Reporting): Promise<void> {
  const client = reachController(cli, options);
  const { backup: id } = await client.call('backups.start', { body: { directory } });
  let ended: Reply<'backups.show'>;
  try {
    ended = await untilEnded(client, id, cli.stopped);
  } catch (error) {
    if (!cli.stopped.aborted) throw error;
    cli.err.print(
      `stopped watching; the backup goes on, and ${oneLine(directory)} is there when it is whole`,
    );
    cli.exit = STOPPED_WATCHING;
    return;
  }
  if (options.json) cli.out.print(encodeJson(ended));
  if (ended.made === null) throw failureOf(ended.error, directory);
  if (options.json) return;
  const { takenAt, versions, bytes, missing } = ended.made;
  const artifacts = `${versions} version${versions === 1 ? '' : 's'}`;
  cli.out.print(
    `${oneLine(ended.directory)}: backup of ${formatMoment(takenAt)}, database and ${artifacts}, ${formatBytes(bytes)}, checked`,
  );
  for (const version of missing)
    cli.err.print(
      `note: the files of ${oneLine(version)} are gone on the controller, and not in the backup: build it again`,
    );
  cli.out.print(`next: copy it to another machine; fleet restore ${oneLine(ended.directory)} brings it back`);
}

async function untilEnded(client: Client, id: number, stopped: AbortSignal): Promise<Reply<'backups.show'>> {
  for (;;) {
    const state = await client.call('backups.show', { params: { id } });
    if (state.state !== 'running') return state;
    await pause(LOOK_MS, undefined, { signal: stopped });
  }
}

function failureOf(error: unknown, directory: string): FleetError {
  const body = error as Partial<ErrorBody> | null;
  if (typeof body?.code === 'string' && Object.hasOwn(CODES, body.code) && typeof body.message === 'string')
    return fromBody(body as ErrorBody);
  return new FleetError('internal', `the backup ${directory} failed`);
}
