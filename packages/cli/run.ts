/** One verb from its arguments to its exit status. Only here are signals handled and streams opened. */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { Command, CommanderError } from 'commander';
import { type Cli, STOPPED_WATCHING } from './cli.ts';
import { openChannel } from './print/channel.ts';
import { printError } from './print/error.ts';
import type { VERBS } from './verbs.ts';

export async function runVerb(argv: string[], verbs: typeof VERBS): Promise<number> {
  const cli = openCli();
  const program = new Command('fleet').exitOverride().enablePositionalOptions();
  const name = argv[0] === 'help' ? argv[1] : argv[0];
  for (const entry of Object.values(verbs).flat()) {
    const command = program.command(entry.name).description(`${capitalise(entry.summary)}.`);
    command.showHelpAfterError(`\`fleet ${entry.name} --help\` shows options and examples.`);
    if (entry.name === name) (await entry.load?.())?.define(command, cli);
  }
  program.showHelpAfterError('`fleet --help` lists the verbs.');
  try {
    await program.parseAsync(argv, { from: 'user' });
    return cli.exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (cli.stopped.aborted) return STOPPED_WATCHING;
    return printError(cli.err, error);
  }
}

function openCli(): Cli {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  // A closed terminal, or `| head`: nobody looks any more.
  process.stdout.on('error', () => stop.abort());
  process.stderr.on('error', () => stop.abort());
  return {
    out: openChannel(process.stdout, process.env),
    err: openChannel(process.stderr, process.env),
    environment: process.env,
    stopped: stop.signal,
    exit: 0,
    async ask(question) {
      if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
      const reader = createInterface({ input: process.stdin, output: process.stderr });
      reader.on('SIGINT', () => stop.abort());
      try {
        const typed = reader.question(`${question} [y/N] `, { signal: stop.signal });
        // Ctrl-D closes the reader, and then the question is never answered.
        const answer = await Promise.race([typed, once(reader, 'close').then(() => '')]);
        return /^y(es)?$/i.test(answer.trim());
      } finally {
        reader.close();
      }
    },
  };
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
