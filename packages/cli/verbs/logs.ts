import { setTimeout as pause } from 'node:timers/promises';
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from 'commander';
import { type Cli, STOPPED_WATCHING } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, json, type Reporting, reach, readNumber } from '../flags.ts';
import { formatDuration } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

interface Options extends Reporting {
  host?: string;
  lines: number;
  follow?: boolean;
  deployment?: number;
  step?: number;
}
/** Milliseconds between two looks at a log that is followed. */
const LOOK_MS = 1000;

export function define(command: Command, cli: Cli): void {
  command
    .argument('[service]')
    .option('--host <host>', 'the host that it runs on')
    .option('-n, --lines <number>', 'the last so many lines', readNumber, 100)
    .option('-f, --follow', 'go on until Ctrl-C')
    .option('--deployment <number>', 'instead of a service: the steps of this deployment', readNumber)
    .option('--step <number>', 'with --deployment: all that this step printed', readNumber)
    .addOption(reach())
    .addOption(json())
    .action(async (service: string | undefined, options: Options) => {
      const client = reachController(cli, options);
      if (service !== undefined && options.host !== undefined)
        return readService(cli, client, service, options.host, options);
      if (service !== undefined || options.deployment === undefined)
        throw new FleetError('bad_request', 'logs of what?', {
          next: 'fleet logs SERVICE --host HOST, or fleet logs --deployment 42 --step 7',
        });
      if (options.step === undefined) return listSteps(cli, client, options.deployment, options);
      return readStep(cli, client, { id: options.deployment, step: options.step }, options);
    });
  addExamples(command, [
    'fleet logs segmenter --host cubed-segmenter-a -f',
    'fleet logs --deployment 42 --step 7',
  ]);
}

async function readService(
  cli: Cli,
  client: Client,
  service: string,
  host: string,
  options: Options,
): Promise<void> {
  const params = { service, host };
  let reply = await client.call('logs.read', { params, query: { lines: options.lines } });
  if (options.json) return cli.out.print(encodeJson(reply));
  printText(cli, reply.text);
  while (options.follow) {
    if (await wasStopped(cli)) return;
    reply = await client.call('logs.read', { params, query: { lines: 10_000, after: reply.cursor } });
    printText(cli, reply.text);
  }
}

async function wasStopped(cli: Cli): Promise<boolean> {
  await pause(LOOK_MS, undefined, { signal: cli.stopped }).catch(() => {});
  if (cli.stopped.aborted) cli.exit = STOPPED_WATCHING;
  return cli.stopped.aborted;
}

async function listSteps(cli: Cli, client: Client, id: number, { json }: Options): Promise<void> {
  const reply = await client.call('deployments.show', { params: { id } });
  if (json) return cli.out.print(encodeJson(reply));
  for (const line of layOut(reply.steps.map(rowOf))) cli.out.print(line);
  cli.out.print(`what one of them printed: fleet logs --deployment ${id} --step NUMBER`);
}

function rowOf({ step, phase, host, kind, rescue, state, outcome, ms, says, message }: StepRow): string[] {
  const ended = outcome ?? state;
  return [
    String(step),
    oneLine(phase),
    host,
    kind,
    rescue ? `${ended}, going back` : ended,
    ms === null ? '' : formatDuration(ms),
    oneLine(message ?? says),
  ];
}

async function readStep(
  cli: Cli,
  client: Client,
  params: { id: number; step: number },
  { json }: Options,
): Promise<void> {
  const reply = await client.call('deployments.output', { params });
  if (json) return cli.out.print(encodeJson(reply));
  printText(cli, reply.text);
}

function printText(cli: Cli, text: string): void {
  if (text) cli.out.print(text.replace(/\n$/, ''));
}
