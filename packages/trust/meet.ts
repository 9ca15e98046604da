/** The first meeting with a controller of which nothing is known but the name of its authority's key. */
import { X509Certificate } from 'node:crypto';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { FleetError } from '@fleet/protocol/errors.ts';
import { keyIdOf } from './keys.ts';
import { CONTROLLER_NAME, TLS_13 } from './tls.ts';

const MEET_MS = 10_000;

/**
 * Shakes hands, says nothing, and gives the authority's certificate (PEM) that whoever answers shows. It is only what to verify
 * by: anybody can show it, so that a token goes over a connection that was made with it and nothing else. Throws
 * `wrong_authority` where no shown certificate has the key that is named, `controller_unreachable`.
 */
export async function meetAuthority(url: string, caKeyId: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    ...TLS_13,
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 443),
    servername: CONTROLLER_NAME,
    // Nothing is believed yet, and nothing is said.
    rejectUnauthorized: false,
    timeout: MEET_MS,
  });
  try {
    await shaken(socket, url);
    const ca = shown(socket).find((certificate) => keyIdOf(certificate.publicKey) === caKeyId);
    if (ca !== undefined) return ca.toString();
    throw new FleetError('wrong_authority', `who answers at ${url} is not the controller that was named`, {
      next: 'ask whoever gave you the string for a new one; if it is the same, somebody is between you and the controller',
    });
  } finally {
    socket.destroy();
  }
}

function shaken(socket: TLSSocket, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(
        new FleetError('controller_unreachable', `no controller answers at ${url}: ${why}`, {
          next: 'is it running, and can this machine reach that address?',
          cause,
        }),
      );
    socket.once('secureConnect', () => resolve());
    socket.on('timeout', () => fail(`nothing came within ${MEET_MS / 1000} s`));
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message, error));
    socket.on('close', () => fail('it closed the connection'));
  });
}

/** The chain, leaf first; at its end a certificate names itself. */
function shown(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<string>();
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && !seen.has(next.fingerprint256)) {
    seen.add(next.fingerprint256);
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}
