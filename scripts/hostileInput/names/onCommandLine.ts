/** Bad names in every option and argument of every verb. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { VERBS } from '@fleet/cli/verbs.ts';
import { Command } from 'commander';
import type { FleetProgram } from '../fleetProgram.ts';
import type { Part } from '../part.ts';

/** Verbs that write where the person says, on the person’s own machine: that is what they are for. */
const OWN_FILES = new Set(['init', 'config', 'backup', 'login', 'keys', 'push', 'build']);
const PROGRAM = fileURLToPath(new URL('manyVerbs.ts', import.meta.url));

export interface VerbRan {
  exit: number;
  printed: string;
}

export async function badNamesOnCommandLine(
  part: Part,
  program: FleetProgram,
  names: readonly string[],
): Promise<void> {
  const before = program.state();
  const folder = mkdtempSync(join(tmpdir(), 'fleet-hostile-person-'));
  const verbs = new ManyVerbs(folder, program.url);
  try {
    for (const { verb, argvOf, where } of await slots())
      for (const bad of names) {
        const { exit, printed } = await verbs.run(argvOf(bad));
        part.count(`command line: exit ${exit}`);
        const about = `fleet ${verb} ${where} = ${JSON.stringify(bad)}`;
        if (![0, 1, 2, 3, 4].includes(exit)) part.fault(`${about}: exit ${exit}`);
        if (/\berror: .*(TypeError|RangeError|is not a function)/.test(printed))
          part.fault(`${about}: ${printed}`);
      }
    const left = readdirSync(folder).filter((name) => !name.startsWith('.'));
    if (left.length > 0) part.fault(`there is ${left.join(', ')} where the verbs were run`);
    for (const change of program.changesSince(before)) part.fault(change);
  } finally {
    await verbs.close();
    rmSync(folder, { recursive: true });
  }
}

interface Slot {
  verb: string;
  where: string;
  argvOf(bad: string): string[];
}

/** Taken from the verbs themselves. Beside the bad name only what is not there is named, so that nothing begins. */
async function slots(): Promise<Slot[]> {
  const found: Slot[] = [];
  for (const { name: verb, load } of Object.values(VERBS).flat()) {
    if (load === undefined || OWN_FILES.has(verb)) continue;
    const command = new Command(verb);
    (await load()).define(command, {} as never);
    const required = command.registeredArguments.filter((each) => each.required).map(() => 'absent');
    for (const [at, argument] of command.registeredArguments.entries()) {
      const others = command.registeredArguments.map((each): string => (each.required ? 'absent' : ''));
      const argvOf = (bad: string) => [
        verb,
        ...others.with(at, bad).filter((each, place) => place === at || each !== ''),
      ];
      found.push({ verb, where: argument.name(), argvOf });
    }
    for (const option of command.options)
      if (option.long !== undefined && (option.required || option.optional) && option.long !== '--controller')
        found.push({ verb, where: option.long, argvOf: (bad) => [verb, ...required, option.long!, bad] });
  }
  return found;
}

/** One process that runs verb after verb: a Node for each of ten thousand would take an hour. */
export class ManyVerbs {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(cwd: string, url: string) {
    const env = { PATH: process.env.PATH, HOME: cwd, FLEET_CONTROLLER: url, NO_COLOR: '1' };
    this.#child = spawn(process.execPath, [PROGRAM], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] });
    // Its end is told by the line that does not come.
    this.#child.stdin!.on('error', () => {});
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  async run(argv: string[]): Promise<VerbRan> {
    // A line of JSON may hold what is the end of a line to others.
    this.#child.stdin!.write(`${Buffer.from(JSON.stringify(argv)).toString('base64')}\n`);
    const line = await this.#lines.next();
    if (line.done) return { exit: this.#child.exitCode ?? -1, printed: 'the program has ended' };
    return JSON.parse(Buffer.from(line.value, 'base64').toString()) as VerbRan;
  }

  async close(): Promise<void> {
    this.#child.stdin!.end();
    this.#child.kill();
  }
}
