/** Taking a host out, letting it in again, and taking it off for good. */
import { setTimeout as pause } from 'node:timers/promises';
import type { HostShown } from '@fleet/protocol/api/fleet.ts';
import type { Command } from 'commander';
import type { Cli } from '../../cli.ts';
import type { Client } from '../../client.ts';
import { addExamples, json, type Reporting, reach } from '../../flags.ts';
import { encodeJson, oneLine } from '../../print/escape.ts';
import { printTurns, printTurnsRecap } from '../../print/turns.ts';
import { reachController } from '../../reach.ts';
import { watchDeployment } from '../../watch.ts';

type Saying = Reporting & { message: string };

/** How long open sessions may take to end before a host is removed; what is open then is cut. */
const DRAIN_MS = 60_000;
const LOOK_MS = 500;

export function defineOut(command: Command, cli: Cli): void {
  command
    .argument('<host>')
    .requiredOption('-m, --message <why>', 'why, for whoever asks later')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Saying) => {
      const began = performance.now();
      const client = reachController(cli, options);
      const reply = await client.call('hosts.out', { params: { host }, body: { why: options.message } });
      if (options.json) return cli.out.print(encodeJson(reply));
      printTurns(cli.out, reply.turns);
      cli.out.print(`${host} is out: deployments pass it by`);
      cli.out.print(`next: fleet hosts in ${host}`);
      printTurnsRecap(cli.out, { what: 'out', host, turns: reply.turns, ms: performance.now() - began });
    });
  addExamples(
    command,
    ['fleet hosts out web-3 -m "its disk is being replaced"', 'fleet hosts out web-3 -m "new memory" --json'],
    'No balancer shows it any more; its services go on. Refused (exit status 3) where too few hosts would be\nleft visible, and while a deployment is on it.',
  );
}

export function defineIn(command: Command, cli: Cli): void {
  command
    .argument('<host>')
    .option('--no-wait', 'only let it in; do not watch it catch up')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Reporting & { wait: boolean }) => {
      const began = performance.now();
      const client = reachController(cli, options);
      const ask = () => client.call('hosts.in', { params: { host }, body: {} });
      let reply = await ask();
      const turns = [...reply.turns];
      if (options.json) cli.out.print(encodeJson(reply));
      else printTurns(cli.out, reply.turns);
      // One service after the other: whoever asks again begins the next.
      for (let [id] = reply.deployments; id !== undefined && options.wait && !options.json; ) {
        await watchDeployment(cli, client, id, false);
        if (cli.exit !== 0) return;
        reply = await ask();
        [id] = reply.deployments;
        if (id === undefined) continue;
        printTurns(cli.out, reply.turns);
        for (const turn of reply.turns) if (turn.outcome === 'changed') turns.push(turn);
      }
      if (reply.turns.some(({ outcome }) => outcome === 'failed')) cli.exit = 1;
      if (options.json) return;
      cli.out.print(`next: fleet hosts show ${host}`);
      printTurnsRecap(cli.out, { what: 'in', host, turns, ms: performance.now() - began });
    });
  addExamples(
    command,
    ['fleet hosts in web-3', 'fleet hosts in web-3 --no-wait'],
    'It gets the version that its environment is on, is smoke tested, and only then shown again.',
  );
}

export function defineRemove(command: Command, cli: Cli): void {
  command
    .argument('<host>')
    .option('-m, --message <why>', 'why, for whoever asks later', 'it is not needed any more')
    .option('-y, --yes', 'do not ask first; without a terminal nothing is asked')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Saying & { yes?: boolean }) => {
      const question = `Take ${host} off the fleet: hidden, its services stopped, its certificate ended, and forgotten?`;
      if (!options.yes && (await cli.ask(question)) === false) {
        cli.err.print('nothing was done');
        cli.exit = 3;
        return;
      }
      await remove(cli, host, options);
    });
  addExamples(
    command,
    ['fleet hosts remove web-3', 'fleet hosts remove web-3 -y -m "its contract ends"'],
    'It can be asked for again where it was stopped half-way. What is left on the host is printed at the end.',
  );
}

async function remove(cli: Cli, host: string, options: Saying): Promise<void> {
  const began = performance.now();
  const client = reachController(cli, options);
  const channel = options.json ? cli.err : cli.out;
  const body = { why: options.message };
  channel.print(`hide ${host}`);
  const out = await client.call('hosts.out', { params: { host }, body });
  printTurns(channel, out.turns);
  await drained(cli, client, host, channel);
  channel.print(`stop its services, cut it off and forget it`);
  const { turns, left } = await client.call('hosts.remove', { params: { host }, body });
  const both = [...out.turns, ...turns];
  if (both.some(({ outcome }) => outcome === 'failed')) cli.exit = 1;
  if (options.json) return cli.out.print(encodeJson({ turns: both, left }));
  printTurns(channel, turns);
  for (const each of left) channel.print(`left: ${oneLine(each)}`);
  channel.print(`next: fleet hosts clean ${host}`);
  printTurnsRecap(channel, { what: 'remove', host, turns: both, ms: performance.now() - began });
}

/** Waits until no session is open at any balancer, or the time is up. */
async function drained(cli: Cli, client: Client, host: string, channel: Cli['out']): Promise<void> {
  const end = performance.now() + DRAIN_MS;
  const open = ({ places }: HostShown) => places.reduce((sum, { sessions }) => sum + (sessions ?? 0), 0);
  for (;;) {
    const sessions = open(await client.call('hosts.show', { params: { host } }));
    if (sessions === 0 || performance.now() > end) {
      channel.print(
        sessions === 0 ? 'no session is open' : `${sessions} sessions are open still, and are cut`,
      );
      return;
    }
    channel.update(`${sessions} sessions are open`);
    await pause(LOOK_MS, undefined, { signal: cli.stopped });
  }
}
