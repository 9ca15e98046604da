/** Why TLS does not believe whoever answers, in words that say what to do on this host. */
import { FleetError } from '@fleet/protocol/errors.ts';

const OUT_OF_TIME = /^CERT_(NOT_YET_VALID|HAS_EXPIRED)$/;
const NOT_ITS_OWN =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|CERT_\w+|INVALID_\w+|ERR_TLS_CERT_\w+)$/;

/** `clock_off`, `wrong_authority`, or undefined where something else has gone wrong. */
export function untrusted(url: string, cause: unknown): FleetError | undefined {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (OUT_OF_TIME.test(code))
    return new FleetError(
      'clock_off',
      `it is ${new Date().toISOString()} on this host, and the certificate of the controller at ${url} is not good then (${code})`,
      {
        next: 'compare with what `date` says where the controller is, and set the clock that is wrong: timedatectl set-ntp true',
        cause,
      },
    );
  if (NOT_ITS_OWN.test(code))
    return new FleetError(
      'wrong_authority',
      `who answers at ${url} is not the controller of the fleet that this host has joined (${code})`,
      {
        next: 'if that fleet was made anew: fleet token create there, then fleet agent join --again here; else somebody is between you and the controller',
        cause,
      },
    );
  return undefined;
}
