/**
 * The form of an archive. Everything in it except the content of files follows from the manifest: each header, the padding
 * and the end. The packer writes these bytes, and the unpacker accepts these bytes and no others, so there is nothing in an
 * archive that two programs could read in two ways.
 *
 * Entries stand in the manifest's order; a PAX header precedes an entry only where plain ustar cannot hold its path, target or
 * size. There is no owner and no time.
 */
import type { Entry } from '@fleet/protocol/manifest.ts';
import { Header, Pax } from 'tar';

export const BLOCK = 512;
/** Two blocks of zeros close an archive. */
export const END = Buffer.alloc(2 * BLOCK);

type Headed = Pick<Entry, 'type' | 'path'> & { mode?: number; size?: number; target?: string };

/** The blocks that precede an entry's content. */
export function headerOf(entry: Headed): Buffer {
  const fields = fieldsOf(entry);
  const header = new Header(fields);
  const block = Buffer.alloc(BLOCK);
  if (!header.encode(block)) return block;
  const { path, linkpath, size } = fields;
  return Buffer.concat([new Pax({ path, linkpath, size }).encode(), block]);
}

function fieldsOf(entry: Headed) {
  const { path } = entry;
  switch (entry.type) {
    case 'file':
      return { type: 'File' as const, path, mode: entry.mode, size: entry.size };
    case 'directory':
      return { type: 'Directory' as const, path: `${path}/`, mode: 0o755, size: 0 };
    case 'link':
      return { type: 'SymbolicLink' as const, path, linkpath: entry.target, mode: 0o777, size: 0 };
  }
}

/** Zeros after a file of `size` bytes, up to the next block. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** What a header block says, for people: used only to explain a refusal, never to decide one. */
export function describeHeader(block: Buffer): string {
  if (block.length < BLOCK) return 'the end of the archive';
  const header = decode(block);
  if (header?.nullBlock) return 'an empty block';
  if (!header) return 'a header with impossible numbers';
  if (!header.cksumValid) return 'a header with a bad checksum';
  const mode = (header.mode ?? 0).toString(8);
  const target = header.linkpath ? ` to ${JSON.stringify(header.linkpath)}` : '';
  return `${header.type} ${JSON.stringify(header.path)}${target}, mode ${mode}, ${header.size} bytes`;
}

function decode(block: Buffer): Header | undefined {
  try {
    return new Header(block);
  } catch {
    return undefined;
  }
}
