/** Key pairs and their names. Ed25519 signs documents, P-256 speaks TLS. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { FleetError } from '@fleet/protocol/errors.ts';

export interface KeyPair {
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** For documents: releases, floors, who may sign. */
export function makeSigningKey(): KeyPair {
  return generateKeyPairSync('ed25519');
}

/** For TLS and certificates. */
export function makeTlsKey(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** sha256 over the public half's SPKI, lower-case hex. */
export function keyIdOf(key: KeyObject): string {
  return createHash('sha256').update(spkiOf(key)).digest('hex');
}

/** SPKI as base64: how a public key stands in documents and messages. */
export function publicText(key: KeyObject): string {
  return spkiOf(key).toString('base64');
}

/** Throws `bad_request` for what is no public key. */
export function publicKeyFrom(text: string): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new FleetError('bad_request', 'this is not a public key (SPKI as base64)', { cause });
  }
}

/** PKCS#8 as PEM. */
export function privatePem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }) as string;
}

/** Throws `bad_request` for what is no private key. `from` names where it was read. */
export function keyPairFrom(pem: string, from: string): KeyPair {
  try {
    const privateKey = createPrivateKey(pem);
    return { privateKey, publicKey: createPublicKey(privateKey) };
  } catch (cause) {
    throw new FleetError('bad_request', `${from} holds no private key`, {
      next: 'give the file that fleet wrote when it made the key',
      cause,
    });
  }
}

function spkiOf(key: KeyObject): Buffer {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return half.export({ format: 'der', type: 'spki' });
}
