/** The team's own command, which lends a machine: `COMMAND up NAME` and `COMMAND down NAME`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { parseEnv } from 'node:util';
import { FleetError } from '@fleet/protocol/errors.ts';
import { z } from 'zod';
import { knownAs } from '../provision/knownHosts.ts';

const OUTPUT = 8 * 1024;
/** To take back itself what it has begun. */
const GRACE_MS = 30_000;

/** What `up` prints: JSON, or KEY=VALUE lines. */
const printed = z
  .object({
    address: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}$/, 'is no address'),
    /** TYPE and key, as a line of known_hosts has them, with or without names before. */
    host_key: z
      .string()
      .regex(
        /(^|\s)(ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa)\s+[A-Za-z0-9+/=]+/,
        'is no public key of a host',
      )
      .optional(),
    fingerprint: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, 'is not of the form SHA256:…')
      .optional(),
    user: z.string().min(1).optional(),
    port: z.coerce.number().int().min(1).max(65_535).default(22),
    key_file: z.string().min(1).optional(),
  })
  .refine(({ host_key, fingerprint }) => host_key !== undefined || fingerprint !== undefined, {
    message: 'say host_key or fingerprint: who answers there is not taken on trust',
  });

/** What it may say. */
export const PRINTED = Object.keys(printed.shape);

export interface Borrowed {
  address: string;
  port: number;
  user: string | undefined;
  /** Absolute. */
  keyFile: string | undefined;
  /** A line of known_hosts. */
  known: string | undefined;
  fingerprint: string | undefined;
}

export interface Lender {
  command: string;
  name: string;
  /** Lines that it says about its work. */
  tell(line: string): void;
}

/** Throws `borrow_failed`, with the end of what it complained of. `signal` ends it. */
export async function borrow(lender: Lender, timeoutMs: number, signal: AbortSignal): Promise<Borrowed> {
  const out = await run(lender, 'up', timeoutMs, signal);
  const given = printed.safeParse(parse(out));
  if (given.success) return borrowedFrom(given.data);
  const problems = given.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`.trim());
  throw failed(lender, 'up', `printed what says no host: ${problems.join('; ')}`, out);
}

/** Gives the machine back. Throws `borrow_failed`: then it may be paid for still. */
export async function giveBack(lender: Lender, timeoutMs: number): Promise<void> {
  await run(lender, 'down', timeoutMs, new AbortController().signal);
}

function parse(out: string): unknown {
  const said = out.trim();
  try {
    return said.startsWith('{')
      ? (JSON.parse(said) as unknown)
      : Object.fromEntries(
          Object.entries(parseEnv(said)).map(([key, value]) => [
            key.toLowerCase().replaceAll('-', '_'),
            value,
          ]),
        );
  } catch {
    return undefined;
  }
}

function borrowedFrom({
  address,
  port,
  user,
  key_file,
  host_key,
  fingerprint,
}: z.infer<typeof printed>): Borrowed {
  const words = host_key?.trim().split(/\s+/) ?? [];
  const at = words.findIndex((word) => /^(ssh-|ecdsa-)/.test(word));
  return {
    ...{ address, port, user },
    keyFile: key_file === undefined ? undefined : resolve(key_file),
    known: at < 0 ? undefined : `${knownAs(address, port)} ${words[at]} ${words[at + 1]}`,
    fingerprint,
  };
}

/** In a session of its own: Ctrl-C ends it when we say so, and `down` not at all. */
async function run(
  lender: Lender,
  verb: 'up' | 'down',
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const { command, name, tell } = lender;
  const child = spawn('sh', ['-c', `${command} "$@"`, 'sh', verb, name], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let tail = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    tail = `${tail}${line}\n`.slice(-OUTPUT);
    tell(line);
  });
  let why = '';
  let killing: NodeJS.Timeout | undefined;
  const signalAll = (how: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, how);
    } catch {
      // It has ended.
    }
  };
  const end = (reason: string) => {
    why ||= reason;
    signalAll('SIGTERM');
    killing ??= setTimeout(() => signalAll('SIGKILL'), GRACE_MS);
  };
  const late = setTimeout(() => end(`did not end within ${Math.round(timeoutMs / 1000)} s`), timeoutMs);
  const stop = () => end('was stopped');
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const [out, [code, by]] = await Promise.all([
      text(child.stdout),
      once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
    ]);
    if (why !== '') throw failed(lender, verb, why, tail);
    if (code !== 0) throw failed(lender, verb, `ended with ${code ?? by}`, tail || out);
    return out;
  } finally {
    clearTimeout(late);
    clearTimeout(killing);
    signal.removeEventListener('abort', stop);
  }
}

function failed({ command, name }: Lender, verb: 'up' | 'down', what: string, output: string): FleetError {
  return new FleetError('borrow_failed', `${command} ${verb} ${name} ${what}`, {
    next:
      verb === 'up'
        ? `try it by hand: ${command} up ${name}; docs/rehearsal.md says what it has to print`
        : `the machine may still be there: ${command} down ${name}`,
    data: { output },
  });
}
