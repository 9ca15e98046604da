/** Agents by their certificates, for the endpoint that takes them. A resumed TLS session is asked like any other. */
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { keyIdOf } from '@fleet/trust/keys.ts';
import type { Identities } from '../agents/identities.ts';
import type { Enrolment } from './enrolment.ts';
import { unknownKey } from './refusals.ts';

export function identitiesBy(enrolment: Enrolment, clock: () => number): Identities {
  return {
    async of(connection: Duplex) {
      const certificate =
        connection instanceof TLSSocket && connection.authorized
          ? connection.getPeerX509Certificate()
          : undefined;
      if (certificate === undefined || certificate.validToDate.getTime() <= clock()) throw unknownKey();
      const { key, host, labels } = await enrolment.check(keyIdOf(certificate.publicKey));
      if (certificate.subject !== `CN=${host}`) throw unknownKey();
      return { key, host, labels };
    },
    async check({ key }) {
      await enrolment.check(key);
    },
    renew: ({ key }) => enrolment.renew(key),
  };
}
