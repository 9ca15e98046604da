import { matchesGlob } from 'node:path';
import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import type { Program } from '@fleet/protocol/api/programs.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { OWN } from '@fleet/protocol/words.ts';
import { type Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, batch, json, list, type Reporting, reach, WATCHING_EXITS } from '../flags.ts';
import { isReplaceable, newest, runs, type Upgrade, upgradesOf } from '../outdated.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { printPlan } from '../print/plan.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';
import { watchDeployment } from '../watch.ts';

type Upgrading = Reporting & { host?: string[]; batch?: string[]; dryRun?: boolean; message?: string };
const REFUSED = 3;

export function define(command: Command, cli: Cli): void {
  command
    .helpCommand(false)
    .addOption(reach())
    .addOption(json())
    .action((options: Reporting) => show(cli, options));
  const upgrading = command
    .command('upgrade')
    .description('Bring hosts to the newest agent, and to the Node that it came with.');
  upgrading
    .addOption(
      new Option('--host <names>', 'only these hosts: a,b or web-*; may be repeated').argParser(list),
    )
    .addOption(batch())
    .option('--dry-run', 'show what would be done, and do nothing')
    .option('-m, --message <why>', 'why, for the history')
    .addOption(reach())
    .addOption(json('print each recap alone on stdout, as JSON; the progress goes to stderr'))
    .action((options: Upgrading) => upgrade(cli, options));
  addExamples(
    upgrading,
    [
      'fleet agents upgrade',
      'fleet agents upgrade --host web-1 --dry-run',
      'fleet agents upgrade --batch 1,20%',
    ],
    `One host first, then five, then a fifth of all at a time. Services run on meanwhile. A host whose new agent does not reach the
controller within a minute gets the former one back, and no later host is begun.

${WATCHING_EXITS}`,
  );
  addExamples(command, ['fleet agents', 'fleet agents --json', 'fleet agents upgrade --dry-run']);
}

async function show(cli: Cli, options: Reporting): Promise<void> {
  const { hosts, programs } = await ask(reachController(cli, options));
  if (options.json)
    return cli.out.print(
      encodeJson(
        hosts.map((host) => ({
          host: host.host,
          connected: host.connected,
          agent: { runs: host.agent, newest: newest(host, OWN.agent, programs) },
          node: { runs: runs(host, OWN.node), newest: newest(host, OWN.node, programs) },
          replaceable: isReplaceable(host),
        })),
      ),
    );
  if (hosts.length === 0) cli.out.print('no agent has ever connected: fleet hosts add puts one on a host');
  for (const line of layOut(hosts.map((host) => rowOf(host, programs)))) cli.out.print(line);
  const mine = hosts.filter((host) => host.upgrades && isReplaceable(host));
  if (programs.length > 0 && upgradesOf(mine, programs).length > 0)
    cli.out.print('  fleet agents upgrade   brings all to the newest');
}

function rowOf(host: HostRow, programs: Program[]): string[] {
  const [agent, node] = [OWN.agent, OWN.node].map((service) => {
    const [has, best] = [
      service === OWN.agent ? host.agent : runs(host, service),
      newest(host, service, programs),
    ];
    return `${oneLine(has ?? '-')}${best === null || best === has ? '' : ` → ${best}`}`;
  });
  return [
    host.host,
    host.connected ? 'connected' : `last seen ${formatMoment(host.lastSeen)}`,
    `agent ${agent}`,
    isReplaceable(host) ? `node ${node}` : 'not installed by fleet: not replaced',
  ];
}

async function upgrade(cli: Cli, options: Upgrading): Promise<void> {
  const client = reachController(cli, options);
  const { hosts: all, programs } = await ask(client);
  if (programs.length === 0) await client.call('programs.list', {});
  const hosts = select(all, options.host);
  const channel = options.json ? cli.err : cli.out;
  const away = options.host === undefined ? hosts.filter((host) => !host.connected) : [];
  const foreign = hosts.filter((host) => !isReplaceable(host));
  for (const { host } of away) channel.print(`${host} is not connected: it is left out`);
  for (const { host } of foreign)
    channel.print(`${host} was not installed by fleet hosts add: it is left out`);
  const closed = hosts.filter((host) => !host.upgrades && !foreign.includes(host));
  for (const { host } of closed)
    channel.print(`${host} lets nobody replace its agent: left out; fleet hosts add, run again, does it`);
  const left = hosts.filter((host) => ![away, foreign, closed].some((some) => some.includes(host)));
  const upgrades = upgradesOf(left, programs);
  if (upgrades.length === 0) {
    const newestAgent = programs.find(({ service }) => service === OWN.agent)?.version ?? '-';
    channel.print(
      left.length === 0
        ? 'no host is left to upgrade'
        : `agent ${newestAgent} and its Node run on ${left.length === 1 ? 'the host' : `all ${left.length} hosts`} already: nothing to do`,
    );
    if (options.json) cli.out.print(encodeJson([]));
    return;
  }
  for (const each of upgrades) {
    if (options.dryRun) await plan(cli, client, each, options);
    else await deploy(cli, client, each, options);
    if (cli.exit !== 0 && !options.dryRun) return;
  }
}

async function ask(client: Client): Promise<{ hosts: HostRow[]; programs: Program[] }> {
  const [hosts, programs] = await Promise.all([
    client.call('hosts.list', {}),
    client.call('programs.list', {}).catch((error: unknown) => {
      // Without any, what hosts run can still be shown.
      if (error instanceof FleetError && error.code === 'no_programs') return [];
      throw error;
    }),
  ]);
  return { hosts, programs };
}

/** Throws `unknown_host` for a pattern that fits none. */
function select(hosts: HostRow[], patterns: readonly string[] | undefined): HostRow[] {
  if (patterns === undefined) return hosts;
  for (const pattern of patterns)
    if (!hosts.some(({ host }) => matchesGlob(host, pattern)))
      throw new FleetError('unknown_host', `there is no host ${pattern}`, {
        next: 'fleet agents lists them',
      });
  return hosts.filter(({ host }) => patterns.some((pattern) => matchesGlob(host, pattern)));
}

function requestOf({ service, version, hosts }: Upgrade, { batch: sizes, message }: Upgrading) {
  return { service, version, hosts, batch: sizes, skipChecks: [], why: message ?? 'fleet agents upgrade' };
}

async function plan(cli: Cli, client: Client, each: Upgrade, options: Upgrading): Promise<void> {
  const planned = await client.call('plans.make', { body: requestOf(each, options) });
  if (planned.refusals.length > 0) cli.exit = REFUSED;
  if (options.json) cli.out.print(encodeJson(planned));
  else printPlan(cli.out, planned);
}

async function deploy(cli: Cli, client: Client, each: Upgrade, options: Upgrading): Promise<void> {
  const { id } = await client.call('deployments.start', { body: requestOf(each, options) });
  await watchDeployment(cli, client, id, options.json);
}
