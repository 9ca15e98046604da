/** A manifest as bytes, and bytes as a manifest that agrees with itself. */
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Manifest, manifest as schema } from '@fleet/protocol/manifest.ts';
import { canonicalJson } from './canonical.ts';
import { findUnsafe } from './entries.ts';
import { identityOf } from './identity.ts';

/** Some 300,000 files. More is no manifest, and is not parsed to find out. */
const LARGEST = 64 * 1024 * 1024;

/** The same manifest gives the same bytes. */
export function encodeManifest(manifest: Manifest): Buffer {
  return Buffer.from(`${canonicalJson(manifest)}\n`);
}

/** Throws `bad_archive` where the bytes are no manifest, name unsafe entries, or carry an identity that is not theirs. */
export function decodeManifest(bytes: Buffer): Manifest {
  if (bytes.length > LARGEST) throw refusal(`it has ${bytes.length} bytes, the most is ${LARGEST}`);
  const manifest = decode(bytes);
  const unsafe = findUnsafe(manifest.files) ?? identityFault(manifest);
  if (unsafe) throw refusal(unsafe);
  return manifest;
}

function identityFault({ files, sealed, identity }: Manifest): string | undefined {
  try {
    if (identityOf(files, sealed) === identity) return undefined;
    return 'its identity is not that of its files and sealed configuration';
  } catch (error) {
    return `its sealed configuration has no canonical form (${(error as Error).message})`;
  }
}

function decode(bytes: Buffer): Manifest {
  const result = schema.safeParse(parse(bytes));
  if (result.success) return result.data;
  const [first] = result.error.issues;
  throw refusal(`${first?.path.join('.') ?? ''}: ${first?.message ?? 'it does not decode'}`, result.error);
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw refusal('it is not JSON', cause);
  }
}

function refusal(why: string, cause?: unknown): FleetError {
  return new FleetError('bad_archive', `the manifest is refused: ${why}`, {
    next: 'build the version again',
    cause,
  });
}
