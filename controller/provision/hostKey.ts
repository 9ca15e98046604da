/** Whether whoever answers at an address is the host that is meant. There is no way to take a key that nobody vouches for. */
import { named } from '@fleet/config/names.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Entry, fingerprintOf, type KnownHosts, knownAs, typeOf } from './knownHosts.ts';
import type { Person } from './person.ts';

export interface Meeting {
  host: string;
  address: string;
  port: number;
  known: KnownHosts;
  /** Given for this host on the command line, as `ssh-keygen -l` shows it. */
  fingerprint: string | undefined;
  person: Person;
  /** Where one that is known would be written. */
  file: string;
}

/** Resolves where the key is the host's. Throws `host_key_unknown`, `host_key_changed`. */
export async function admitKey(key: Buffer, meeting: Meeting): Promise<void> {
  const { host, address, port, known, fingerprint, person, file } = meeting;
  const shown = fingerprintOf(key);
  const entries = known.of(address, port);
  const same = entries.filter((entry) => entry.key.equals(key));
  const revoked = same.find((entry) => entry.revoked);
  if (revoked !== undefined)
    throw changed(meeting, `shows the key ${shown}, which ${revoked.at} says is revoked`);
  if (fingerprint !== undefined) {
    if (fingerprint === shown) return;
    throw changed(meeting, `shows the key ${shown}, and --fingerprint says ${fingerprint}`);
  }
  if (same.length > 0) return;
  const other = entries.find((entry) => !entry.revoked);
  if (other !== undefined) throw changed(meeting, describe(other, key));

  const typed = await person.askText(
    `${host}: nobody here knows ${knownAs(address, port)} yet. It shows the ${kind(key)} key\n    ${shown}\n` +
      `Compare it with what the host itself says (ssh-keygen -lf /etc/ssh/ssh_host_${kind(key).toLowerCase()}_key.pub on its console), and type it here: `,
  );
  if (typed?.trim() === shown) {
    person.tell(
      `${host}: to have it known from here on: echo '${knownAs(address, port)} ${typeOf(key)} ${key.toString('base64')}' >> ${file}`,
    );
    return;
  }
  throw new FleetError(
    'host_key_unknown',
    typed === undefined
      ? `${host}: ${file} has no key of ${knownAs(address, port)}, which shows ${shown}`
      : `${host}: what was typed is not ${shown}, the key that ${knownAs(address, port)} shows`,
    {
      next: `compare it with what the host says on its console (ssh-keygen -lf /etc/ssh/ssh_host_${kind(key).toLowerCase()}_key.pub), then again with --fingerprint ${host}=${shown}`,
      data: { host, fingerprint: shown },
    },
  );
}

type Algorithm = 'ssh-ed25519' | `ecdsa-sha2-nistp${256 | 384 | 521}` | 'rsa-sha2-512' | 'rsa-sha2-256';

/** Keys of these kinds are asked for first: a host that has several shows the one that is known. */
export function preferredTypes(entries: readonly Entry[]): Algorithm[] {
  const known = new Set(
    entries
      .filter(({ revoked }) => !revoked)
      .flatMap(({ type }): readonly Algorithm[] => named(ALGORITHMS, type) ?? []),
  );
  const all = Object.values(ALGORITHMS).flat();
  return [...known, ...all.filter((each) => !known.has(each))];
}
const ALGORITHMS: Record<string, readonly Algorithm[]> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

function describe(other: Entry, key: Buffer): string {
  return `shows the ${kind(key)} key ${fingerprintOf(key)}, and ${other.at} has the ${kind(other.key)} key ${fingerprintOf(other.key)}`;
}

function kind(key: Buffer): string {
  const type = typeOf(key);
  if (type.startsWith('ecdsa-')) return 'ECDSA';
  return { 'ssh-ed25519': 'ED25519', 'ssh-rsa': 'RSA' }[type] ?? type;
}

function changed({ host, address, port }: Meeting, what: string): FleetError {
  return new FleetError('host_key_changed', `${host}: ${knownAs(address, port)} ${what}`, {
    next: `nothing was sent. If the host was made anew: ssh-keygen -R '${knownAs(address, port)}', and take its new key from its console; if not, somebody stands between`,
    data: { host },
  });
}
