/** Keys that lie on this machine, in files of their own. They sign here; none is ever sent. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { FleetError } from '@fleet/protocol/errors.ts';
import { readGuarded, writeGuarded } from '@fleet/trust/guarded.ts';
import {
  type KeyPair,
  keyIdOf,
  keyPairFrom,
  makeSigningKey,
  privatePem,
  publicKeyFrom,
  publicText,
} from '@fleet/trust/keys.ts';

/** Throws `bad_request`, `key_too_open`. */
export function readKey(path: string): KeyPair {
  const pem = readGuarded(path);
  if (pem === undefined) throw notThere(path);
  return keyPairFrom(pem, path);
}

/** SPKI as base64, as `fleet keys make` writes it. Throws `bad_request`. */
export function readPublicKey(path: string): string {
  if (!existsSync(path)) throw notThere(path);
  const key = publicKeyFrom(readFileSync(path, 'utf8').trim());
  if (key.asymmetricKeyType !== 'ed25519')
    throw new FleetError(
      'bad_request',
      `${path} holds a key of another kind: releases are signed with Ed25519`,
      {
        next: 'fleet keys make --out FILE makes one',
      },
    );
  return publicText(key);
}

/** The private half in `path`, 0600, and the public one beside it. Nothing is written over. */
export function makeKeyFile(path: string): { publicKey: string; publicPath: string; id: string } {
  const publicPath = `${path}.pub`;
  for (const each of [path, publicPath])
    if (existsSync(each))
      throw new FleetError('bad_request', `${each} is there already, and stays as it is`, {
        next: 'give another file: a key is never written over',
      });
  const made = makeSigningKey();
  const publicKey = publicText(made.publicKey);
  writeGuarded(path, privatePem(made.privateKey));
  writeFileSync(publicPath, `${publicKey}\n`, { flag: 'wx' });
  return { publicKey, publicPath, id: keyIdOf(made.publicKey) };
}

function notThere(path: string): FleetError {
  return new FleetError('bad_request', `there is no file ${path}`, {
    next: 'give the file that holds the key',
  });
}
