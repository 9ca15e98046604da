/** Why somebody is not let in, and what mends it. */
import type { JoinToken } from '@fleet/protocol/api/enrolment.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { isBearer } from '@fleet/trust/bearer.ts';
import type { IdentityRecord } from '../store/identities.ts';

export function badToken(why: string, mend = '--role ROLE --environment ENVIRONMENT'): FleetError {
  return new FleetError('bad_token', `this join token is not taken: ${why}`, {
    next: `where fleet is administered: fleet token create ${mend}`,
  });
}

export function unknownKey(): FleetError {
  return new FleetError('not_enrolled', 'no host of this fleet has this key', {
    next: 'join the fleet: fleet token create where it is administered, then fleet agent join on the host',
  });
}

export function ended({ host, state, endedAt }: IdentityRecord): FleetError {
  return new FleetError('not_enrolled', `${host} was ${state} at ${endedAt}`, {
    next: `if it shall come back: fleet token create --host ${host}, then fleet agent join on ${host}`,
    data: { host },
  });
}

interface Shown {
  token: (JoinToken & { hash: string }) | undefined;
  text: string;
  host: string | null;
  /** ISO 8601, like all moments of the token. */
  now: string;
}

/** Throws `bad_token`. Whoever does not show a whole token learns nothing, not even whether there is one. */
export function checkToken({ token, text, host, now }: Shown, known: IdentityRecord | undefined): JoinToken {
  if (token === undefined || !isBearer(text, token.hash)) throw badToken('it is none of this fleet');
  if (known !== undefined && known.token === token.id) return token;
  const again = token.host === null ? undefined : `--host ${token.host}`;
  if (token.revokedAt !== null) throw badToken(`it was revoked at ${token.revokedAt}`, again);
  if (token.expiresAt <= now) throw badToken(`it expired at ${token.expiresAt}, and it is ${now} now`, again);
  if (token.used >= token.uses)
    throw badToken(token.uses === 1 ? 'it has been used' : `it has been used ${token.used} times`, again);
  if (known !== undefined) throw badToken('this key has joined with another one', again);
  if (token.host !== null && host !== null && token.host !== host)
    throw badToken(`it is for ${token.host}, and this host says that it is ${host}`, `--host ${host}`);
  return token;
}
