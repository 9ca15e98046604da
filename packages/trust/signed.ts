/** A statement with its signature: Ed25519 over its canonical JSON, which begins with its kind, so that none passes for another. */
import { sign, verify } from 'node:crypto';
import { canonicalJson } from '@fleet/artifact/canonical.ts';
import { type KeyPair, keyIdOf, publicKeyFrom } from './keys.ts';

export interface Signed<S> {
  statement: S;
  /** Name of the key that signed: see `keyIdOf`. */
  key: string;
  /** Base64. */
  signature: string;
}

export function signStatement<S extends { kind: string }>(
  statement: S,
  { privateKey, publicKey }: KeyPair,
): Signed<S> {
  return {
    statement,
    key: keyIdOf(publicKey),
    signature: sign(null, bytesOf(statement), privateKey).toString('base64'),
  };
}

/** Whether one of `keys` (SPKI as base64) is the one that it names, and made this signature. */
export function isSignedBy<S extends { kind: string }>(signed: Signed<S>, keys: readonly string[]): boolean {
  return keys
    .map(publicKeyFrom)
    .filter((key) => keyIdOf(key) === signed.key)
    .some((key) => verify(null, bytesOf(signed.statement), key, Buffer.from(signed.signature, 'base64')));
}

function bytesOf(statement: { kind: string }): Buffer {
  return Buffer.from(`fleet ${statement.kind} 1\n${canonicalJson(statement)}`);
}
