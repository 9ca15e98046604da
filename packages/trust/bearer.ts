/** Secrets that somebody shows to be let in: for a person or program (`fleet_…`), for a host that joins (`fleetjoin_…`). */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export type BearerKind = 'fleet' | 'fleetjoin';
export interface Bearer {
  /** Looked up by; no secret. 16 hex characters. */
  id: string;
  /** What is shown: prefix, id and 256 random bits. Never stored. */
  text: string;
  /** sha256 of the text, hex: what is stored. A slow hash would add nothing to 256 random bits. */
  hash: string;
}

export function makeBearer(kind: BearerKind): Bearer {
  const id = randomBytes(8).toString('hex');
  const text = `${kind}_${id}_${randomBytes(32).toString('base64url')}`;
  return { id, text, hash: hashOf(text) };
}

/** The id in a shown text, or undefined where it has not the form of one. */
export function bearerId(kind: BearerKind, text: string): string | undefined {
  const match = /^(fleet|fleetjoin)_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/.exec(text);
  return match?.[1] === kind ? match[2] : undefined;
}

/** In a time that says nothing about how much of it is right. */
export function isBearer(text: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(text), 'hex'), Buffer.from(hash, 'hex'));
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
