/** What a host signs with the key that it made, to show that it has it. */
import type { CertifyStatement, JoinStatement } from '@fleet/protocol/api/enrolment.ts';
import { type KeyPair, publicText } from './keys.ts';
import { type Signed, signStatement } from './signed.ts';

/** `token` is the join token's id, `host` null where the token says the name. */
export function proveToJoin(keys: KeyPair, token: string, host: string | null): Signed<JoinStatement> {
  return signStatement({ kind: 'join', token, host, key: publicText(keys.publicKey) }, keys);
}

/** `at`: milliseconds since 1970. */
export function proveToCertify(keys: KeyPair, at: number): Signed<CertifyStatement> {
  return signStatement({ kind: 'certify', key: publicText(keys.publicKey), at }, keys);
}
