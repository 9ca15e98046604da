/** Who an agent is: its key, whatever it says. Handed in, because rows and certificates are other rooms' matter. */
import type { Duplex } from 'node:stream';
import type { Labels } from '@fleet/protocol/words.ts';

export interface Identity {
  /** `keyIdOf` the key that its certificate is for. */
  key: string;
  host: string;
  /** From its join token: what it says of itself is not believed. */
  labels: Labels;
}

export interface Identities {
  /** By the certificate that its connection was opened with. Throws `not_enrolled`. */
  of(connection: Duplex): Promise<Identity>;
  /** Throws `not_enrolled` where it was ended since, or has let its certificate expire. */
  check(identity: Identity): Promise<void>;
  /** A new certificate for the same key, as PEM. Throws `not_enrolled`. */
  renew(identity: Identity): Promise<string>;
}
