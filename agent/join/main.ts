/** `fleet agent join`: its flags and what it says. */
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { FleetError } from '@fleet/protocol/errors.ts';
import { readConfig } from '../config/config.ts';
import { takeDataDirectory } from '../config/data.ts';
import { createPolicy } from '../policy/policy.ts';
import { joinFleet } from './join.ts';

const HELP = `Usage: fleet agent join ['STRING'] [--host NAME] [--config agent.yaml] [--root DIR] [--data DIR] [--again]

Makes this host one of a fleet, with the string that \`fleet token create\` printed. It looks who answers before the token goes over
the wire, and its key is made here and never leaves. Name, labels and where the controller is are kept in DATA/trust.
Without the string it is read from stdin: an argument can be read by every user of this host while the command runs.

  --host NAME      this host's name, where the token does not say it
  --config FILE    agent.yaml: where the data directory is, and the policy, which may refuse the token's labels
  --root DIR       as for fleet agent (/srv/fleet)
  --data DIR       the agent's data directory (ROOT/.agent)
  --again          also where this host has joined before: it gets another key
  -h, --help       this text

Examples:
  $ fleet agent join 'fleet1.eyJ1cmwiOi…' --host web-1
  $ fleet agent join --config agent.yaml < join-string

Exit status: 0 joined, 2 wrong use, or no whole string, 3 the token is not taken or another controller answers, 4 none answers`;

/** Throws what \`joinFleet\` throws, and \`data_in_use\` while an agent runs. */
export async function main(argv: string[]): Promise<void> {
  const { values, positionals } = readFlags(argv);
  if (values.help) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const [given, ...more] = positionals;
  if (more.length > 0) throw wrongUse('name one join string: what fleet token create printed, in quotes');
  const string = given ?? (await fromStdin());
  const { config, file } = await readConfig(values);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const directory = await takeDataDirectory(config.data);
  try {
    const joined = await joinFleet({
      string,
      host: config.host,
      data: config.data,
      again: values.again,
      admitLabels: (host = 'this host', labels) =>
        createPolicy({ host, root: config.root, joined: true, config: config.policy, file }).admitLabels(
          labels,
        ),
      now: Date.now,
      onWaiting: (host, key) =>
        process.stderr.write(
          `${host} waits until somebody lets it in, where fleet is administered: look with fleet hosts joined whether its key is ${key.slice(0, 16)}, then fleet hosts approve ${host}\n`,
        ),
      signal: stop.signal,
    });
    const labels = Object.entries(joined.labels).map(([name, value]) => `${name}=${value}`);
    const flag = file === undefined ? `--data ${config.data}` : `--config ${file}`;
    process.stdout.write(`joined ${joined.url} as ${joined.host}, ${labels.join(' ') || 'no labels'}\n`);
    process.stdout.write(`next: fleet agent ${flag}\n`);
  } finally {
    await directory.release();
  }
}

async function fromStdin(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('paste the join string, then press Enter and Ctrl-D:\n');
  return (await text(process.stdin)).trim();
}

function readFlags(argv: string[]) {
  const word = { type: 'string' } as const;
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: word,
        host: word,
        root: word,
        data: word,
        again: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    throw wrongUse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function wrongUse(message: string, cause?: unknown): FleetError {
  return new FleetError('bad_request', message, { next: 'fleet agent join --help', cause });
}
