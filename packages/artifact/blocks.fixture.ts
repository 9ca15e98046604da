/** Archives made block by block, for tests: each field of each header as one wants it. */
import { createHash } from 'node:crypto';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { Header, type HeaderData, Pax } from 'tar';
import { END, headerOf, paddingOf } from './form.ts';

export const HELLO = Buffer.from('hello\n');
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
export const file = (path: string, content: Buffer = HELLO, mode: 0o644 | 0o755 = 0o644): Entry => ({
  ...{ type: 'file', path, mode, size: content.length, sha256: sha256(content) },
});
export const directory = (path: string): Entry => ({ type: 'directory', path });
export const link = (path: string, target: string): Entry => ({ type: 'link', path, target });

/** The good release: what the manifest says in every case that does not bring its own. */
export const GOOD = [file('a'), directory('d'), file('d/f'), link('l', 'd/f'), file('z', HELLO, 0o755)];

/** One header block, with any fields, and then any bytes in it changed. */
export function block(fields: HeaderData, change?: (block: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(512);
  new Header({ mode: 0o644, size: 0, type: 'File', ...fields }).encode(bytes);
  if (!change) return bytes;
  change(bytes);
  bytes.fill(' ', 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}
export const content = (bytes: Buffer = HELLO) =>
  Buffer.concat([bytes, Buffer.alloc(paddingOf(bytes.length))]);
export const whole = (entry: Entry, bytes: Buffer = HELLO) =>
  Buffer.concat(entry.type === 'file' ? [headerOf(entry), content(bytes)] : [headerOf(entry)]);
export const [A, D, DF, L, Z] = GOOD.map((entry) => whole(entry)) as [Buffer, Buffer, Buffer, Buffer, Buffer];
/** The good archive with something instead of, or beside, one of its entries. */
export const tar = (...parts: Buffer[]) => Buffer.concat([...parts, END]);
export const instead = (a: Buffer) => tar(a, D, DF, L, Z);
export const fileAs = (fields: HeaderData, change?: (block: Buffer) => void) =>
  instead(Buffer.concat([block({ path: 'a', size: HELLO.length, ...fields }, change), content()]));
export const type = (code: string) => (header: Buffer) => header.write(code, 156, 'latin1');
export const pax = (fields: HeaderData, global = false) => new Pax(fields, global).encode();

/** A zstd frame by hand: one block that is stored as it is, below a window of 2 ** `log` bytes. */
export function zstdFrame(log: number, bytes: Buffer): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0, 0, 0]);
  head.writeUIntLE(1 | (bytes.length << 3), 6, 3);
  return Buffer.concat([head, bytes]);
}
