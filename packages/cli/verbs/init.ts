import { writeFile } from 'node:fs/promises';
import type { FileName } from '@fleet/config/files.ts';
import { template } from '@fleet/config/template.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { serviceName } from '@fleet/protocol/words.ts';
import { Argument, type Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples } from '../flags.ts';

type What = 'controller' | 'service' | 'agent';
const FILE_OF: Record<What, FileName> = {
  service: 'fleet.yaml',
  controller: 'controller.yaml',
  agent: 'agent.yaml',
};
const ALL = Object.keys(FILE_OF) as What[];

export function define(command: Command, cli: Cli): void {
  command
    .addArgument(
      new Argument('[what]', 'only this one (default: all three, to try it out in one folder)').choices(ALL),
    )
    .option('--name <service>', 'the service’s name in them', 'my-service')
    .action((what: What | undefined, { name }: { name: string }) => init(cli, what ? [what] : ALL, name));
  addExamples(
    command,
    ['fleet init --name segmenter', 'fleet init service --name segmenter'],
    `service      fleet.yaml, in the service's repository: how it is built, run and checked
controller   controller.yaml, beside the controller: services, environments, hosts, balancers
agent        agent.yaml, on each host: its name, its labels, where releases go

A file that is there already stays as it is.`,
  );
}

async function init(cli: Cli, wanted: What[], service: string): Promise<void> {
  const name = serviceName.safeParse(service);
  if (!name.success) throw new FleetError('bad_request', `${service}: ${name.error.issues[0]?.message}`);
  const written: What[] = [];
  for (const what of wanted) {
    if (await writeNew(FILE_OF[what], await template(FILE_OF[what], name.data))) {
      written.push(what);
      cli.out.print(`wrote ${FILE_OF[what]}`);
    } else cli.err.print(`${FILE_OF[what]} is there already, and stays as it is`);
  }
  if (written.length === 0)
    throw new FleetError('bad_request', 'nothing was written', {
      next: 'fleet config check tells what is wrong with a file',
    });
  cli.out.print('next: fill them in, then');
  for (const line of nextCommands(written, name.data)) cli.out.print(`  ${line}`);
}

/** False where there is one: nothing is ever written over. */
async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw new FleetError(
      'bad_request',
      `${path} cannot be written: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}

function nextCommands(written: What[], service: string): string[] {
  return [
    'fleet config check',
    ...(written.includes('controller') ? ['fleet controller --config controller.yaml'] : []),
    ...(written.includes('agent') ? ['fleet agent --config agent.yaml'] : []),
    ...(written.includes('service') ? [`fleet deploy ${service}`] : []),
  ];
}
