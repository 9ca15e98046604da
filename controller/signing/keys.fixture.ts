/** What `fleet init` makes for signing, in a folder of a test's own. */
import { join } from 'node:path';
import type { Level, SignedTrust } from '@fleet/protocol/trust.ts';
import { writeGuarded } from '@fleet/trust/guarded.ts';
import { type KeyPair, makeSigningKey, privatePem, publicText } from '@fleet/trust/keys.ts';
import { signStatement } from '@fleet/trust/signed.ts';

export class Keys {
  readonly root = makeSigningKey();
  readonly release = makeSigningKey();

  trust(
    serial: number,
    {
      level = 'L0',
      keys = [publicText(this.release.publicKey)],
      by = this.root,
    }: { level?: Level; keys?: string[]; by?: KeyPair } = {},
  ): SignedTrust {
    const signers = keys.map((key, index) => ({ name: `key-${index}`, key }));
    return signStatement({ kind: 'trust' as const, serial, level, signers, signedAt: serial }, by);
  }

  /** `data`: a controller's data directory. */
  write(data: string, said: Parameters<Keys['trust']>[1] = {}): void {
    const file = (name: string) => join(data, 'trust', name);
    writeGuarded(file('root.pub'), publicText(this.root.publicKey));
    writeGuarded(file('release.key'), privatePem(this.release.privateKey));
    writeGuarded(file('trust.json'), JSON.stringify(this.trust(1, said)));
  }
}
