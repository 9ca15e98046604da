import type { AuditRow } from '@fleet/protocol/api/audit.ts';
import { lifetime } from '@fleet/protocol/words.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach, readNumber } from '../flags.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

type Listing = Reporting & { since?: string; who?: string; limit: number };
type Verifying = Reporting & { head?: { seq: number; hash: string } };

export function define(command: Command, cli: Cli): void {
  command
    .helpCommand(false)
    .addOption(
      new Option('--since <when>', 'a moment like 2026-11-21, or how long ago, like 2h').argParser(readSince),
    )
    .option('--who <name>', 'only what this person or program did')
    .option('-n, --limit <number>', 'how many rows, at most 10000', readNumber, 50)
    .addOption(reach())
    .addOption(json())
    .action(async ({ since, who, limit, ...options }: Listing) => {
      const rows = await reachController(cli, options).call('audit.list', { query: { since, who, limit } });
      if (options.json) return cli.out.print(encodeJson(rows));
      for (const line of layOut(rows.reverse().map(rowOf))) cli.out.print(line);
    });
  const verifying = command.command('verify').description('Whether the audit log is as it was written.');
  verifying
    .addOption(
      new Option(
        '--head <number:hash>',
        'a row that was noted elsewhere, as `fleet audit head` prints it',
      ).argParser(readHead),
    )
    .addOption(reach())
    .addOption(json())
    .action((options: Verifying) => verify(cli, options));
  addExamples(
    verifying,
    ['fleet audit verify', 'fleet audit verify --head "$(cat head.yesterday)"'],
    `Names the first row that was edited, exchanged or taken away. Whoever can write into the controller’s database can make all
the hashes anew: only a head that was noted elsewhere tells that. The controller’s log has the hash of every row too.

Exit status: 0 every row is as it was written, 1 one is not, 2, 3, 4`,
  );
  const heading = command.command('head').description('Number and hash of the last row, to note elsewhere.');
  heading
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const { head } = await reachController(cli, options).call('audit.verify', { query: {} });
      cli.out.print(options.json ? encodeJson(head) : `${head.seq}:${head.hash}`);
    });
  addExamples(heading, ['fleet audit head', 'fleet audit head > head.yesterday']);
  addExamples(
    command,
    ['fleet audit --since 2h', 'fleet audit --who ann -n 200', 'fleet audit verify'],
    'Oldest first. `asked` is written before it is done, then one row says how it ended; `refused` was not let in.',
  );
}

async function verify(cli: Cli, { head: noted, ...options }: Verifying): Promise<void> {
  const { rows, head, fault } = await reachController(cli, options).call('audit.verify', {
    query: noted ?? {},
  });
  if (options.json) cli.out.print(encodeJson({ rows, head, fault }));
  if (fault !== null) {
    cli.exit = 1;
    return cli.err.print(`${cli.err.colors.red('error:')} ${oneLine(fault.message)}`);
  }
  if (!options.json)
    cli.out.print(`${rows} rows, each as it was written; the last is ${head.seq}:${head.hash}`);
}

function rowOf({ seq, at, who, from, what, outcome, details }: AuditRow): string[] {
  const told = Object.entries(details).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [
    String(seq),
    formatMoment(at),
    oneLine(who),
    oneLine(from),
    oneLine(what),
    outcome,
    oneLine(told.join(' ')),
  ];
}

function readSince(value: string): string {
  const ago = lifetime.safeParse(value);
  const at = ago.success ? Date.now() - ago.data : Date.parse(value);
  if (Number.isNaN(at)) throw new InvalidArgumentError('It is a moment like 2026-11-21T09:30Z, or like 2h.');
  return new Date(at).toISOString();
}

function readHead(value: string): { seq: number; hash: string } {
  const [, seq, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(value.trim()) ?? [];
  if (seq === undefined || hash === undefined)
    throw new InvalidArgumentError('It is a number, a colon and a hash, as `fleet audit head` prints it.');
  return { seq: Number(seq), hash };
}
