/**
 * Who may sign, as the controller knows it, and its own release key where it has one (level L0). All of it lies in DATA/trust and
 * is read anew each time: it is replaced while the controller runs.
 */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import {
  type FloorStatement,
  type SignedFloor,
  type SignedRelease,
  type SignedTrust,
  signedTrust,
} from '@fleet/protocol/trust.ts';
import { readGuarded, writeGuarded } from '@fleet/trust/guarded.ts';
import { type KeyPair, keyPairFrom, makeSigningKey, privatePem, publicText } from '@fleet/trust/keys.ts';
import { checkRelease, type Release } from '@fleet/trust/release.ts';
import { isSignedBy, signStatement } from '@fleet/trust/signed.ts';

const FILES = {
  root: 'root.pub',
  trust: 'trust.json',
  key: 'release.key',
  next: 'release.next.key',
} as const;

export interface Signing {
  /** The root key's public half: SPKI as base64. */
  root: string;
  /** Throws `not_signed`. */
  trust(): SignedTrust;
  /** Null where another machine signs. `signedAt`: of the first signature, where a release is signed anew; floors go by it. */
  sign(release: Release, signedAt?: number): SignedRelease | null;
  signFloor(floor: Omit<FloorStatement, 'kind' | 'signedAt'>): SignedFloor | null;
  /** Throws `not_signed`, `below_floor`. */
  check(release: Release, signed: SignedRelease | null, floors: readonly SignedFloor[]): void;
  /** The next release key of this controller, which holds once a document names it. Its public half. */
  makeKey(): string;
  /** Replaces the document. Throws `not_signed`, `trust_lowered`. */
  replace(trust: SignedTrust): void;
}

/** `data`: the controller's data directory. Null where it has no keys: in development. `now`: milliseconds since 1970. */
export function openSigning(data: string, now: () => number): Signing | null {
  const file = (name: string) => join(data, 'trust', name);
  const root = readGuarded(file(FILES.root))?.trim();
  if (root === undefined) return null;

  function trust(): SignedTrust {
    const text = readGuarded(file(FILES.trust));
    const decoded = signedTrust.safeParse(text === undefined ? undefined : JSON.parse(text));
    if (decoded.success && isSignedBy(decoded.data, [root!])) return decoded.data;
    throw new FleetError('not_signed', `${file(FILES.trust)} is not a document of this fleet’s root key`, {
      next: 'bring it back from a backup, or make it anew with the root key: fleet keys rotate --root-key FILE',
    });
  }

  function keyIn(name: string): KeyPair | undefined {
    const pem = readGuarded(file(name));
    return pem === undefined ? undefined : keyPairFrom(pem, file(name));
  }

  /** What the document names of the keys that are here. */
  function key(): KeyPair | undefined {
    const { signers } = trust().statement;
    const named = (pair: KeyPair | undefined) =>
      pair && signers.some((signer) => signer.key === publicText(pair.publicKey));
    // Between a document and the renaming of its key there may have been a power cut.
    return [keyIn(FILES.key), keyIn(FILES.next)].find(named);
  }

  return {
    root,
    trust,
    sign(release, signedAt = now()) {
      const pair = key();
      return pair ? signStatement({ kind: 'release', ...release, signedAt }, pair) : null;
    },
    signFloor(floor) {
      const pair = key();
      return pair ? signStatement({ kind: 'floor', ...floor, signedAt: now() }, pair) : null;
    },
    check: (release, signed, floors) =>
      checkRelease(
        release,
        signed ?? undefined,
        {
          trust: trust().statement,
          floors: new Map(floors.map((floor) => [floor.statement.service, floor.statement])),
        },
        'the controller',
      ),
    makeKey() {
      const made = makeSigningKey();
      writeGuarded(file(FILES.next), privatePem(made.privateKey));
      return publicText(made.publicKey);
    },
    replace(offered) {
      const was = trust().statement;
      const { serial, level, signers } = offered.statement;
      if (!isSignedBy(offered, [root]))
        throw new FleetError('not_signed', 'this document of trust is not signed by this fleet’s root key', {
          next: 'give the file that fleet init called fleet-root.key: --root-key FILE',
        });
      if (serial !== was.serial + 1 || (level === 'L0' && was.level !== 'L0'))
        throw new FleetError(
          'trust_lowered',
          level === 'L0' && was.level !== 'L0'
            ? 'the level is never lowered from L1b to L0: no host would take such a document'
            : `document ${serial} does not follow ${was.serial}, the one that holds`,
          { next: 'fleet keys show tells what holds; then make the document anew' },
        );
      if (
        level === 'L0' &&
        !signers.some((signer) => isKey(FILES.next, signer.key) || isKey(FILES.key, signer.key))
      )
        throw new FleetError(
          'not_signed',
          'at level L0 the controller signs, and this document names no key of its',
          {
            next: 'fleet keys rotate --root-key FILE',
          },
        );
      writeGuarded(file(FILES.trust), `${JSON.stringify(offered, null, 2)}\n`);
      settleKeys();
    },
  };

  function isKey(name: string, publicKey: string): boolean {
    const pair = keyIn(name);
    return pair !== undefined && publicText(pair.publicKey) === publicKey;
  }

  /** What the document no longer names signs nothing, and is not kept. */
  function settleKeys(): void {
    const { signers } = trust().statement;
    const holds = (name: string) => signers.some((signer) => isKey(name, signer.key));
    if (holds(FILES.next)) renameSync(file(FILES.next), file(FILES.key));
    else rmSync(file(FILES.next), { force: true });
    if (!holds(FILES.key)) rmSync(file(FILES.key), { force: true });
  }
}
