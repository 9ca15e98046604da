/** Why somebody is not let in, and what mends it. */
import type { JoinToken } from '@fleet/protocol/api/enrolment.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { isBearer } from '@fleet/trust/bearer.ts';
import type { IdentityRecord } from '../store/identities.ts';

/** `token`: its id, where the whole of it was shown. */
export function badToken(
  why: string,
  mend = '--role ROLE --environment ENVIRONMENT',
  token?: string,
): FleetError {
  return new FleetError('bad_token', `this join token is not taken: ${why}`, {
    next: `where fleet is administered: fleet token create ${mend}`,
    data: { ...(token && { token }) },
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
  const { host: forHost, used, uses, revokedAt, expiresAt, id } = token;
  const refuse = (why: string, mend = forHost === null ? undefined : `--host ${forHost}`) =>
    badToken(why, mend, id);
  if (revokedAt !== null) throw refuse(`it was revoked at ${revokedAt}`);
  if (expiresAt <= now) throw refuse(`it expired at ${expiresAt}, and it is ${now} now`);
  if (used >= uses) throw refuse(uses === 1 ? 'it has been used' : `it has been used ${used} times`);
  if (known !== undefined) throw refuse('this key has joined with another one');
  if (forHost !== null && host !== null && forHost !== host)
    throw refuse(`it is for ${forHost}, and this host says that it is ${host}`, `--host ${host}`);
  return token;
}
