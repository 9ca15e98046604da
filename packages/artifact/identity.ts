import { createHash } from 'node:crypto';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { canonicalJson } from './canonical.ts';

/**
 * What a version is, in 64 hex digits: sha256 over the canonical JSON of its files (in the manifest's order) and its sealed
 * fleet.yaml. Name, version, source and compression are no part of it.
 */
export function identityOf(files: Entry[], sealed: unknown): string {
  return createHash('sha256').update(canonicalJson({ files, sealed })).digest('hex');
}
