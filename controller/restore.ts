/** `fleet restore`: its flags and what it says. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FleetError } from '@fleet/protocol/errors.ts';
import { restoreBackup } from './backup/restore.ts';
import { loadConfig } from './config/config.ts';

const HELP = `Usage: fleet restore BACKUP [--config controller.yaml] [--replace]

Brings a backup that \`fleet backup\` made into the data directory of controller.yaml, on
this machine, while no controller runs there. Every file is checked first. Hosts are not
touched. Deployments that were under way when the backup was made end as failed. With --replace,
who was cut off after the backup was made stays out, by the database that is moved aside.

  -c, --config FILE   configuration (default: controller.yaml)
      --replace       where there is a database already: move it aside first

Examples:
  $ fleet restore /backups/monday --config /etc/fleet/controller.yaml
  $ fleet restore /backups/monday --replace

Exit status: 0 restored, 1 the backup is not whole, 2 wrong use, or a controller runs, or there is a database
`;

/** Throws `bad_request`, `bad_config`, and what `restoreBackup` throws. */
export async function main(argv: string[]): Promise<void> {
  const { values, positionals } = readFlags(argv);
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const [given, ...more] = positionals;
  if (given === undefined || more.length > 0)
    throw wrongUse('name one backup: the folder that fleet backup made');
  const { data } = await loadConfig(values.config);
  const { list, ended, aside, cutOff } = await restoreBackup(resolve(given), data, values.replace);
  const versions = Object.keys(list.files).filter((path) => path.endsWith('.manifest.json')).length;
  const lines = [
    ...(aside === null ? [] : [`moved what was there to ${aside}`]),
    `restored the backup of ${list.takenAt} into ${data}: ${versions} version${versions === 1 ? '' : 's'}`,
    ...list.missing.map((version) => `note: the backup has no files of ${version}: build it again`),
    ...ended.map((id) => `note: deployment ${id} was under way, and has ended as failed: fleet recap ${id}`),
    cutOff === null
      ? `note: whoever was cut off after that is let in again: look through fleet people list and fleet hosts joined`
      : `who was cut off after that stays out: ${cutOff.people} of the people, ${cutOff.hosts} of the hosts`,
    `next: fleet controller --config ${values.config}, and fleet status, which says what really runs`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function readFlags(argv: string[]) {
  const config = { type: 'string', short: 'c', default: 'controller.yaml' } as const;
  const replace = { type: 'boolean', default: false } as const;
  const help = { type: 'boolean', short: 'h', default: false } as const;
  try {
    return parseArgs({ args: argv, allowPositionals: true, options: { config, replace, help } });
  } catch (cause) {
    throw wrongUse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function wrongUse(message: string, cause?: unknown): FleetError {
  return new FleetError('bad_request', message, { next: 'fleet restore --help', cause });
}
