/** The certificate that the agent dials with: renewed over its own link at half of its life, and by its signature after its end. */
import type { Session } from '@fleet/link/session.ts';
import type { ControllerMethods } from '@fleet/protocol/messages/methods.ts';
import { privatePem } from '@fleet/trust/keys.ts';
import { proveToCertify } from '@fleet/trust/proofs.ts';
import { clientOptions, validity } from '@fleet/trust/tls.ts';
import { askToEnrol } from '../join/ask.ts';
import type { Joined } from './joined.ts';

const RENEW_MS = 10_000;

export interface Certificate {
  /** What to dial with. Throws what the controller says where a new one is needed and not given. */
  tls(): Promise<ReturnType<typeof clientOptions>>;
  /** Over the link, where half of its life is over. Whether it was renewed. */
  renew(session: Pick<Session<ControllerMethods>, 'ask'>): Promise<boolean>;
}

/** `now`: milliseconds since 1970. */
export function openCertificate(joined: Joined, now: () => number): Certificate {
  return {
    async tls() {
      if (validity(joined.certificate()).to <= now()) {
        const said = await askToEnrol(joined.url, joined.ca, 'agents.certify', {
          proof: proveToCertify(joined.key, now()),
        });
        if (said.state === 'active') joined.keepCertificate(said.certificate);
      }
      return clientOptions({
        ca: joined.ca,
        cert: joined.certificate(),
        key: privatePem(joined.key.privateKey),
      });
    },
    async renew(session) {
      const { from, to } = validity(joined.certificate());
      if (now() < (from + to) / 2) return false;
      const { certificate } = await session.ask('identity.renew', {}, { timeoutMs: RENEW_MS });
      joined.keepCertificate(certificate);
      return true;
    },
  };
}
