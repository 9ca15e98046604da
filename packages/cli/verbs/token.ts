import type { JoinToken } from '@fleet/protocol/api/enrolment.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { lifetime } from '@fleet/protocol/words.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

type Creating = Reporting & {
  role?: string;
  environment?: string;
  env?: string;
  label: Record<string, string>;
  host?: string;
  uses: number;
  ttl: number;
  approve?: boolean;
  url?: string;
};

export function define(command: Command, cli: Cli): void {
  command.helpCommand(false);
  const creating = command.command('create').description('Make a token with which a host can join.');
  creating
    .addOption(new Option('--role <role>', 'the label role of the host'))
    .addOption(new Option('-e, --environment <name>', 'the label environment of the host'))
    .addOption(new Option('--env <name>', 'the same').hideHelp())
    .addOption(
      new Option('--label <name=value>', 'another label of the host; may be repeated')
        .argParser(readLabel)
        .default({}, 'none'),
    )
    .addOption(new Option('--host <name>', 'only under this name (default: the host says its own)'))
    .addOption(
      new Option('--uses <number>', 'how many hosts may join with it').argParser(readUses).default(1),
    )
    .addOption(
      new Option('--ttl <lifetime>', 'how long it holds, like 15m, 12h or 2d')
        .argParser(readLifetime)
        .default(readLifetime('15m'), '15m'),
    )
    .addOption(new Option('--approve', 'whoever comes with it waits for: fleet hosts approve HOST'))
    .addOption(new Option('--url <url>', 'where hosts reach the controller (default: where you do)'))
    .addOption(reach())
    .addOption(json())
    .action((options: Creating) => create(cli, options));
  addExamples(
    creating,
    [
      'fleet token create --role segmenter --environment production',
      'fleet token create --role segmenter --environment production --label port=8080 --host web-1 --approve',
      'fleet token create --role worker --environment staging --uses 20 --ttl 2h',
    ],
    `Prints a join string on stdout, once: only its hash is kept. The host's labels are these, whatever it says of itself.`,
  );
  const listing = command.command('list').description('Tokens with which hosts can join, or could.');
  listing
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const tokens = await reachController(cli, options).call('joining.list', {});
      if (options.json) return cli.out.print(encodeJson(tokens));
      for (const line of layOut(tokens.map(rowOf))) cli.out.print(line);
    });
  addExamples(listing, ['fleet token list', 'fleet token list --json']);
  const revoking = command.command('revoke').description('End a token before its time.');
  revoking
    .argument('<id>', 'as fleet token list shows it')
    .addOption(reach())
    .addOption(json())
    .action(async (id: string, options: Reporting) => {
      const reply = await reachController(cli, options).call('joining.revoke', { params: { id } });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(`nobody joins with ${id} any more; hosts that have stay: fleet hosts revoke ends one`);
    });
  addExamples(revoking, [
    'fleet token revoke 0f3c9a7e5b1d2846',
    'fleet token revoke 0f3c9a7e5b1d2846 --json',
  ]);
  addExamples(command, [
    'fleet token create --role segmenter --environment production',
    'fleet token list',
    'fleet token revoke 0f3c9a7e5b1d2846',
  ]);
}

async function create(cli: Cli, options: Creating): Promise<void> {
  const client = reachController(cli, options);
  const {
    role,
    env,
    environment = env,
    label,
    host,
    uses,
    ttl,
    approve = false,
    url = client.controller,
  } = options;
  if (!url.startsWith('https:'))
    throw new FleetError('bad_request', `hosts cannot join at ${url}: it is plain`, {
      next: 'fleet login first; a controller in development asks nobody who they are',
    });
  const labels = { ...label, ...(role && { role }), ...(environment && { environment }) };
  const body = { labels, host, uses, ttlMs: ttl, approve, url };
  const reply = await client.call('joining.create', { body });
  if (options.json) return cli.out.print(encodeJson(reply));
  const name = host === undefined ? ' --host NAME' : '';
  const hosts = uses === 1 ? 'the host' : `up to ${uses} hosts`;
  cli.err.print(
    `until ${formatMoment(reply.expiresAt)}, on ${hosts}: fleet agent join 'STRING'${name}, and the string is`,
  );
  cli.out.print(reply.joinString);
}

function rowOf(token: JoinToken): string[] {
  const { id, labels, host, approve, uses, used, by, expiresAt, revokedAt } = token;
  return [
    id,
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    host ?? 'any name',
    `used ${used} of ${uses}`,
    revokedAt === null ? `until ${formatMoment(expiresAt)}` : `revoked ${formatMoment(revokedAt)}`,
    approve ? 'with approval' : '',
    `by ${by}`,
  ];
}

function readLabel(written: string, before: Record<string, string>): Record<string, string> {
  const at = written.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('a label is written like port=8080');
  return { ...before, [written.slice(0, at)]: written.slice(at + 1) };
}

function readUses(written: string): number {
  if (/^[1-9]\d{0,3}$/.test(written)) return Number(written);
  throw new InvalidArgumentError('a number from 1');
}

function readLifetime(written: string): number {
  const read = lifetime.safeParse(written);
  if (read.success) return read.data;
  throw new InvalidArgumentError(read.error.issues[0]?.message ?? 'not a lifetime');
}
