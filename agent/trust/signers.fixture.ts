/** A root key with its documents, and keys that sign releases: what `fleet init` makes, for tests. */
import { join } from 'node:path';
import type { Level, SignedFloor, SignedRelease, SignedTrust } from '@fleet/protocol/trust.ts';
import { writeGuarded } from '@fleet/trust/guarded.ts';
import { type KeyPair, makeSigningKey, publicText } from '@fleet/trust/keys.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import type { Built } from '../fakeController.fixture.ts';

export class Signers {
  readonly root = makeSigningKey();
  readonly release = makeSigningKey();

  /** Signed by the root key, if by no other. */
  trust(
    serial: number,
    {
      level = 'L0',
      keys = [this.release],
      by = this.root,
    }: { level?: Level; keys?: KeyPair[]; by?: KeyPair } = {},
  ): SignedTrust {
    const signers = keys.map(({ publicKey }, index) => ({
      name: `key-${index}`,
      key: publicText(publicKey),
    }));
    return signStatement({ kind: 'trust' as const, serial, level, signers, signedAt: serial }, by);
  }

  /** What joining leaves on a host. `data`: its agent's own directory. */
  join(data: string, trust = this.trust(1)): void {
    writeGuarded(join(data, 'trust/root.pub'), `${publicText(this.root.publicKey)}\n`);
    writeGuarded(join(data, 'trust/trust.json'), JSON.stringify(trust));
  }

  signature(built: Built, { by = this.release, at = 1000 } = {}): SignedRelease {
    const { service, version } = built.manifest;
    const manifest = built.offer.manifest.sha256;
    return signStatement({ kind: 'release' as const, service, version, manifest, signedAt: at }, by);
  }

  sign(built: Built, how: { by?: KeyPair; at?: number } = {}): Built {
    return { ...built, offer: { ...built.offer, signed: this.signature(built, how) } };
  }

  floor(service: string, version: string, notBefore: number, by = this.release): SignedFloor {
    return signStatement({ kind: 'floor' as const, service, version, notBefore, signedAt: notBefore }, by);
  }
}
