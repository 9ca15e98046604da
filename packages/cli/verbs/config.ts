import { access } from 'node:fs/promises';
import { basename } from 'node:path';
import { checkController } from '@fleet/config/check.ts';
import { FILES, type FileName } from '@fleet/config/files.ts';
import { inspectYaml, type Problem, refuseProblems } from '@fleet/config/load.ts';
import { jsonSchema } from '@fleet/config/schema.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { Argument, type Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json } from '../flags.ts';
import { encodeJson } from '../print/escape.ts';

const NAMES = Object.keys(FILES) as FileName[];
interface Found {
  problems: Problem[];
  notes: string[];
}

export function define(command: Command, cli: Cli): void {
  command.helpCommand(false);
  const checking = command
    .command('check')
    .description('Find every mistake in configuration files, each with its line.');
  checking
    .argument(
      '[files...]',
      `a file is read as agent.yaml or fleet.yaml by how its name begins, else as controller.yaml (default: ${NAMES.join(', ')} in this folder)`,
    )
    .addOption(json('print problems and notes as one JSON document'))
    .action((files: string[], options: { json?: boolean }) => check(cli, files, options));
  addExamples(
    checking,
    ['fleet config check', 'fleet config check /etc/fleet/controller.yaml agent-a.yaml'],
    'Exit status: 0 nothing is wrong, 2 something is',
  );
  const printing = command.command('schema').description('Print the JSON Schema of a file, for editors.');
  printing
    .addArgument(new Argument('<file>').choices(NAMES))
    .action((name: FileName) => cli.out.print(encodeJson(jsonSchema(name))));
  addExamples(printing, [
    'fleet config schema fleet.yaml > fleet.schema.json',
    'fleet config schema controller.yaml',
  ]);
  addExamples(command, ['fleet config check', 'fleet config schema fleet.yaml']);
}

async function check(cli: Cli, given: string[], { json }: { json?: boolean }): Promise<void> {
  const files = given.length > 0 ? given : await findHere();
  const found = await Promise.all(files.map(inspect));
  const problems = found.flatMap((each) => each.problems);
  const notes = found.flatMap((each) => each.notes);
  if (json) {
    cli.out.print(encodeJson({ problems, notes }));
    cli.exit = problems.length > 0 ? 2 : 0;
    return;
  }
  for (const note of notes) cli.out.print(`note: ${note}`);
  if (problems.length > 0) throw refuseProblems(problems);
  cli.out.print(`nothing is wrong with ${files.join(', ')}`);
}

async function inspect(path: string): Promise<Found> {
  const name =
    NAMES.find((each) => basename(path).startsWith(each.replace('.yaml', ''))) ?? 'controller.yaml';
  if (name === 'controller.yaml') return checkController(path);
  return { problems: (await inspectYaml(path, FILES[name])).problems, notes: [] };
}

async function findHere(): Promise<string[]> {
  const there = await Promise.all(
    NAMES.map((name) =>
      access(name).then(
        () => [name],
        () => [],
      ),
    ),
  );
  const files = there.flat();
  if (files.length > 0) return files;
  throw new FleetError('bad_config', `there is no ${NAMES.join(', ')} in this folder`, {
    next: 'name the files, or write some to begin with: fleet init',
  });
}
