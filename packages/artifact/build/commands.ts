/** Running the repository's own commands: the build, and the test of the package. */
import { appendFile, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { describe, ok, run } from '@fleet/process/run.ts';
import { type User, userEnvironment } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { BuildUser } from './buildUser.ts';
import type { Job } from './request.ts';

export interface Command {
  code: 'build_failed' | 'test_failed';
  /** `the build command`, `the package test`. */
  what: string;
  argv: string[];
  timeoutMs: number;
  cwd: string;
  env: Record<string, string>;
  user: User | undefined;
}

/**
 * Nothing of the controller's own environment reaches a build but how this machine gets to the network. TZ and SOURCE_DATE_EPOCH are fixed so that the same source
 * gives the same files; CI keeps tools from asking.
 */
export async function buildEnvironment(
  job: Job,
  version: string,
  at: Date,
  own: Readonly<Record<string, string>>,
  buildUser?: BuildUser,
): Promise<Record<string, string>> {
  await mkdir(join(job.room.own, 'tmp'));
  await job.room.give('tmp');
  const TMPDIR = join(job.room.seen, 'tmp');
  const SOURCE_DATE_EPOCH = String(Math.floor(at.getTime() / 1000));
  return cleanEnvironment({
    ...wayToNetwork(process.env),
    TZ: 'UTC',
    CI: 'true',
    ...(buildUser && (await whoBuilds(buildUser, TMPDIR))),
    TMPDIR,
    VERSION: version,
    SOURCE_DATE_EPOCH,
    ...own,
  });
}

/** A user made for builds may have no home: what is kept there is then gone with the build. */
async function whoBuilds({ user }: BuildUser, fallback: string): Promise<Record<string, string>> {
  const home = await stat(user.home).catch(() => undefined);
  return userEnvironment(home?.uid === user.uid ? user : { ...user, home: fallback });
}

/** Proxies, and the authorities that they are signed by: without them a build behind one would wait for ever. */
const NETWORK = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'],
  ...['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
];

function wayToNetwork(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(NETWORK.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

/** Throws FleetError of the command's code, with how it ended and the end of what it printed; `aborted`. */
export async function runCommand(
  { code, what, argv, timeoutMs, cwd, env, user }: Command,
  job: Job,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  note(`$ ${argv.join(' ')}`);
  await appendFile(job.log, `$ ${argv.join(' ')}\n`);
  const ended = await run({ argv, cwd, env, user, timeoutMs, signal, log: job.log });
  if (ok(ended)) return;
  if (ended.reason === 'cancelled') throw new FleetError('aborted', 'the build was aborted');
  const { output, reason, code: exit, signal: endedBy } = ended;
  throw new FleetError(code, `${what} failed: ${describe(ended, argv)}`, {
    next:
      reason === 'not_started'
        ? `Install ${argv[0]} on the controller’s machine, or correct the command in fleet.yaml.`
        : reason === 'timeout'
          ? `Give it more time by \`timeout\` in fleet.yaml, or find out what it waits for: ${job.log}`
          : `Run it by hand in a clean checkout. Everything that it printed is in ${job.log}`,
    data: { command: argv, reason, exit, signal: endedBy, output: output.text, log: job.log },
  });
}
