/** DATA/trust: what joining a fleet has left on this host. Its key was made here and is nowhere else. */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { hostName, type Labels, labels } from '@fleet/protocol/words.ts';
import { readGuarded, writeGuarded } from '@fleet/trust/guarded.ts';
import { type KeyPair, keyIdOf, keyPairFrom } from '@fleet/trust/keys.ts';

const FILES = { key: 'agent.key', certificate: 'agent.pem', ca: 'ca.pem', joined: 'joined.json' } as const;

export interface Joined {
  host: string;
  /** From the join token: what environments select by, and values come from. */
  labels: Labels;
  /** Where it joined, and asks again when its certificate has expired: people's endpoint. */
  url: string;
  /** Where agents connect. */
  agents: string;
  /** The authority's certificate, PEM. */
  ca: string;
  key: KeyPair;
  /** PEM; read anew, because it is renewed. */
  certificate(): string;
  keepCertificate(pem: string): void;
}

/** Undefined for a host that has joined no fleet. Throws `not_enrolled` where a part of it is gone, `key_too_open`. */
export function readJoined(folder: string): Joined | undefined {
  const written = readGuarded(join(folder, FILES.joined));
  if (written === undefined) return undefined;
  const need = (name: string) => {
    const text = readGuarded(join(folder, name));
    if (text !== undefined) return text;
    throw new FleetError('not_enrolled', `${join(folder, name)} is gone`, {
      next: 'join anew: fleet token create where the controller is, then fleet agent join --again on this host',
    });
  };
  const { host, labels: given, url, agents } = JSON.parse(written) as Record<keyof Joined, unknown>;
  const key = keyPairFrom(need(FILES.key), join(folder, FILES.key));
  return {
    host: hostName.parse(host),
    labels: labels.parse(given),
    url: String(url),
    agents: String(agents),
    ca: need(FILES.ca),
    key,
    certificate: () => need(FILES.certificate),
    keepCertificate(pem) {
      refuseOthers(pem, key);
      writeGuarded(join(folder, FILES.certificate), pem);
    },
  };
}

export function writeJoined(
  folder: string,
  joined: Pick<Joined, 'host' | 'labels' | 'url' | 'agents' | 'ca'> & { keyPem: string; certificate: string },
): void {
  const { keyPem, certificate, ca, ...rest } = joined;
  refuseOthers(certificate, keyPairFrom(keyPem, 'the key that was made'));
  writeGuarded(join(folder, FILES.key), keyPem);
  writeGuarded(join(folder, FILES.ca), ca);
  writeGuarded(join(folder, FILES.certificate), certificate);
  writeGuarded(join(folder, FILES.joined), `${JSON.stringify(rest, null, 2)}\n`);
}

/** A certificate for another key would only lock this host out. */
function refuseOthers(pem: string, key: KeyPair): void {
  if (keyIdOf(new X509Certificate(pem).publicKey) === keyIdOf(key.publicKey)) return;
  throw new FleetError('bad_message', 'the controller gave a certificate for another key');
}
