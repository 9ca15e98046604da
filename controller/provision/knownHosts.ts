/** Host keys that the operator knows, as OpenSSH keeps them: names and patterns, hashed names, ports, revoked keys. */
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface KnownHosts {
  /** What the files say of an address and a port. */
  of(address: string, port: number): Entry[];
}
export interface Entry {
  /** `ssh-ed25519` and the like. */
  type: string;
  key: Buffer;
  revoked: boolean;
  /** Where it stands: FILE:LINE. */
  at: string;
}

/** A file that is not there knows nobody. */
export function readKnownHosts(files: readonly string[]): KnownHosts {
  const lines = files.flatMap((file) =>
    textOf(file)
      .split('\n')
      .flatMap((line, index) => {
        const parsed = parseLine(line);
        return parsed === undefined ? [] : [{ ...parsed, at: `${file}:${index + 1}` }];
      }),
  );
  return {
    of(address, port) {
      const name = knownAs(address, port);
      return lines
        .filter(({ names }) => isNamed(names, name))
        .map(({ type, key, revoked, at }) => ({ type, key, revoked, at }));
    },
  };
}

/** As a known_hosts file writes it. */
export function knownAs(address: string, port: number): string {
  const lower = address.toLowerCase();
  return port === 22 ? lower : `[${lower}]:${port}`;
}

/** As `ssh-keygen -l` shows it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The kind of a key, which its bytes begin with. */
export function typeOf(key: Buffer): string {
  const length = key.length < 4 ? 0 : key.readUInt32BE(0);
  return length > 64 ? 'unknown' : key.subarray(4, 4 + length).toString('latin1');
}

function parseLine(line: string): (Omit<Entry, 'at'> & { names: string }) | undefined {
  const words = line.trim().split(/\s+/);
  if (words[0] === '' || words[0]?.startsWith('#')) return undefined;
  const marker = words[0]?.startsWith('@') ? words.shift() : undefined;
  // Certificates of hosts are not looked at: no key is believed because somebody has signed it.
  if (marker !== undefined && marker !== '@revoked') return undefined;
  const [names, type, key] = words;
  if (names === undefined || type === undefined || key === undefined) return undefined;
  return { names, type, key: Buffer.from(key, 'base64'), revoked: marker === '@revoked' };
}

function isNamed(names: string, name: string): boolean {
  if (names.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = names.split('|');
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  const patterns = names.split(',').map((pattern) => pattern.toLowerCase());
  return (
    patterns.some((pattern) => !pattern.startsWith('!') && fits(pattern, name)) &&
    !patterns.some((pattern) => pattern.startsWith('!') && fits(pattern.slice(1), name))
  );
}

function fits(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(name);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
