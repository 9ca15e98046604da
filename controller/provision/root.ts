/** Root on a host: by logging in as root, or by sudo with a password that goes through stdin alone. */
import { Readable } from 'node:stream';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Connection, Ended } from './connection.ts';

export interface Root {
  readonly host: string;
  /** A script of sh, run by root; `args` are its $1 and so on. Throws `ssh_lost`. */
  run(script: string, more?: RootInput): Promise<Ended>;
}
export interface RootInput {
  args?: readonly string[];
  stdin?: string | Buffer | AsyncIterable<Buffer>;
  timeoutMs?: number;
}

/** Nothing of the login's own: neither where programs are looked for nor in which language they answer. */
const CLEAN =
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C; export PATH LC_ALL; umask 022; ';
/** Ignores what an earlier sudo may still be good for, so that it is always clear who reads the password. Nothing is printed to ask. */
const SUDO = ['sudo', '-k', '-S', '-p', ''];

/** Throws `sudo_refused`. `password` is asked for where one is needed. */
export async function becomeRoot(
  connection: Connection,
  password: () => Promise<string | undefined>,
): Promise<Root> {
  const { host, user } = connection.target;
  const uid = (await connection.run(['id', '-u'])).stdout.trim();
  if (uid === '0') return rootOver(connection, [], undefined);
  const plain = await connection.run(['sudo', '-k', '-n', 'true']);
  if (plain.code === 0) return rootOver(connection, ['sudo', '-n'], undefined);
  if (plain.code === 127)
    throw refused(`has no sudo, and ${user} is not root`, 'log in as root: --user root');
  if (!/password/i.test(plain.stderr))
    throw refused(`does not let ${user} use sudo: ${lastLine(plain.stderr)}`, rule);
  const given = await password();
  if (given === undefined)
    throw refused(
      `wants the password of ${user} for sudo, and nobody gave it`,
      `again with --ask-sudo at a terminal, or for the time of it: ${rule}`,
    );
  const tried = await connection.run([...SUDO, 'true'], { stdin: `${given}\n` });
  if (tried.code !== 0)
    throw refused(`did not take the password of ${user} for sudo: ${lastLine(tried.stderr)}`, rule);
  return rootOver(connection, SUDO, given);

  function refused(why: string, next: string): FleetError {
    return new FleetError('sudo_refused', `${host} ${why}`, {
      next: next === rule ? ruleFor(user) : next.replace(rule, ruleFor(user)),
      data: { host },
    });
  }
}
const rule = '{rule}';
const ruleFor = (user: string) =>
  `a rule on the host, such as \`${user} ALL=(root) NOPASSWD: ALL\` in /etc/sudoers.d/${user}`;

function rootOver(connection: Connection, prefix: readonly string[], password: string | undefined): Root {
  return {
    host: connection.target.host,
    run: (script, { args = [], stdin, ...more } = {}) =>
      connection.run([...prefix, 'sh', '-c', CLEAN + script, 'fleet', ...args], {
        ...more,
        stdin: withPassword(stdin, password),
      }),
  };
}

function withPassword(stdin: RootInput['stdin'], password: string | undefined): string | Readable {
  if (password === undefined && (stdin === undefined || typeof stdin === 'string')) return stdin ?? '';
  return Readable.from(both(), { objectMode: false });

  async function* both(): AsyncIterable<Buffer> {
    if (password !== undefined) yield Buffer.from(`${password}\n`);
    if (typeof stdin === 'string' || Buffer.isBuffer(stdin)) yield Buffer.from(stdin as string);
    else if (stdin !== undefined) yield* stdin;
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
