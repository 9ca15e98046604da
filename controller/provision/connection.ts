/** Programs on a host over one SSH connection. A link that was lost is an error here, and never an empty answer. */
import type { Readable } from 'node:stream';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { NodeSSH } from 'node-ssh';

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}
export interface Target {
  host: string;
  address: string;
  port: number;
  user: string;
}
export interface Connection {
  readonly target: Target;
  /** `argv` is quoted for the login shell. Throws `ssh_lost`. */
  run(argv: readonly string[], input?: Input): Promise<Ended>;
  close(): void;
}
export interface Input {
  stdin?: string | Readable;
  /** Milliseconds; after this it counts as lost. */
  timeoutMs?: number;
}

const TIMEOUT_MS = 10 * 60_000;
/** Nobody reads more of what a program printed. */
const KEPT = 256 * 1024;

export function connectionOver(ssh: NodeSSH, target: Target): Connection {
  const { connection } = ssh;
  let why = 'the connection ended';
  /** Rejects when the link goes: what waits for an answer would wait for ever. */
  const lost = new Promise<never>((_, reject) => {
    connection?.on('error', (error: Error) => {
      why = error.message;
    });
    connection?.on('close', () => reject(lostError(target, why)));
  });
  lost.catch(() => {});

  return {
    target,
    async run(argv, { stdin = '', timeoutMs = TIMEOUT_MS } = {}) {
      const output = { stdout: '', stderr: '' };
      const keep = (name: keyof typeof output) => (chunk: Buffer) => {
        if (output[name].length < KEPT) output[name] += chunk.toString('utf8');
      };
      let timer: NodeJS.Timeout | undefined;
      /** It takes too long, or what it should be fed with ends in an error of ours. */
      const given = new Promise<never>((_, reject) => {
        const late = `nothing came for ${Math.round(timeoutMs / 1000)} s`;
        timer = setTimeout(() => reject(lostError(target, late)), timeoutMs);
        if (typeof stdin === 'object') stdin.once('error', reject);
      });
      given.catch(() => {});
      const ran = ssh
        .execCommand(argv.map(quoted).join(' '), {
          stdin,
          noTrim: true,
          // One that ends without having read it all is no fault of the channel.
          onChannel: (channel) => channel.on('error', () => {}),
          onStdout: keep('stdout'),
          onStderr: keep('stderr'),
        })
        .catch((error: unknown) => {
          throw lostError(target, error instanceof Error ? error.message : String(error), error);
        });
      ran.catch(() => {});
      try {
        const { code, signal } = await Promise.race([ran, lost, given]);
        // What a signal has ended has no status either, and there the host says so.
        if (code === null && signal !== null)
          return { code: 128, stdout: output.stdout, stderr: `ended by ${signal}` };
        if (code === null) throw lostError(target, why);
        return { code, ...output };
      } finally {
        clearTimeout(timer);
        if (typeof stdin === 'object') stdin.destroy();
      }
    },
    close: () => ssh.dispose(),
  };
}

/** One word for any shell. The quoting that comes with the library leaves an empty word out. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_/:=.,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function lostError({ host, address }: Target, why: string, cause?: unknown): FleetError {
  return new FleetError('ssh_lost', `${host}: the connection to ${address} was lost: ${why}`, {
    data: { host },
    cause,
  });
}
