import net from 'node:net';
import { FleetError } from '@fleet/protocol/errors.ts';

/** No answer of a sane HAProxy is longer, in bytes: thousands of servers take about one MiB. */
const LONGEST = 16 * 1024 * 1024;

/**
 * Ask HAProxy's runtime socket one thing. `address` is a path, or HOST:PORT. HAProxy closes the connection after each answer,
 * so a connection is one command. Every answer ends in a newline; one that does not was cut short.
 */
export function askHaproxy(address: string, command: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const socket = net.connect(parseAddress(address));
    const deadline = setTimeout(() => fail(`it did not answer within ${timeoutMs} ms`), timeoutMs);
    function fail(why: string, cause?: unknown) {
      clearTimeout(deadline);
      socket.destroy();
      reject(unreachable(address, why, cause));
    }
    socket.on('error', (error: NodeJS.ErrnoException) => fail(WHY[error.code ?? ''] ?? error.message, error));
    socket.on('connect', () => socket.write(`${command}\n`));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > LONGEST) fail(`its answer to "${command}" does not end`);
    });
    socket.on('close', () => {
      clearTimeout(deadline);
      const answer = Buffer.concat(chunks).toString('utf8');
      if (answer.endsWith('\n')) resolve(answer);
      else fail(`it closed the connection before its answer to "${command}" was complete`);
    });
  });
}

const WHY: Record<string, string> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nothing listens there',
  EACCES: 'this user may not open it',
  EINVAL: "its path is longer than a socket's may be, 107 characters",
};

function unreachable(address: string, why: string, cause: unknown): FleetError {
  return new FleetError('balancer_unreachable', `HAProxy at ${address} cannot be asked: ${why}`, {
    next: `Check that HAProxy runs, that its configuration has "stats socket ${address} mode 660 level admin" in the global section, and that this user may open it.`,
    data: { address },
    cause,
  });
}

function parseAddress(address: string): net.NetConnectOpts {
  const tcp = /^(?:\[([0-9A-Fa-f:.]+)\]|([^/:]+)):(\d{1,5})$/.exec(address);
  return tcp ? { host: tcp[1] ?? tcp[2]!, port: Number(tcp[3]) } : { path: address };
}
