/** Whether a release may run: the one answer that the controller gives early and every host gives in any case. */
import { createHash } from 'node:crypto';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { FloorStatement, SignedRelease, TrustStatement } from '@fleet/protocol/trust.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import { isSignedBy } from './signed.ts';

export interface Release {
  service: string;
  version: string;
  /** sha256 of the manifest's bytes. */
  manifest: string;
}

/** What is held to: who may sign, and the floor of each service that has one. */
export interface Rules {
  trust: TrustStatement;
  floors: ReadonlyMap<string, FloorStatement>;
}

export function digestOf(manifest: Buffer): string {
  return createHash('sha256').update(manifest).digest('hex');
}

export function isSigner({ signers }: TrustStatement, signed: Parameters<typeof isSignedBy>[0]): boolean {
  return isSignedBy(
    signed,
    signers.map(({ key }) => key),
  );
}

/** Throws `not_signed`, `below_floor`. `who` refuses: a host's name, or `the controller`. */
export function checkRelease(
  { service, version, manifest }: Release,
  signed: SignedRelease | undefined,
  { trust, floors }: Rules,
  who: string,
): void {
  const fault = faultOf(signed);
  if (fault !== undefined || signed === undefined)
    throw new FleetError('not_signed', `${who} refuses ${service} ${version}: ${fault}`, {
      next: isOwn(service)
        ? 'fleet keys show tells who may sign; then ./scripts/bundle --sign-key FILE there, and the folder that it makes on the controller'
        : trust.level === 'L0'
          ? `fleet keys show tells who may sign; then build ${service} again under another version`
          : `fleet keys show tells who may sign; then fleet build ${service} --sign-key FILE there, and fleet push`,
    });
  const floor = floors.get(service);
  if (floor !== undefined && signed.statement.signedAt < floor.notBefore)
    throw new FleetError(
      'below_floor',
      `${who} refuses ${service} ${version}: it is older than ${floor.version}, the oldest one that is still good`,
      { next: `deploy ${service} ${floor.version} or a later one; fleet floor list tells why` },
    );

  function faultOf(given: SignedRelease | undefined): string | undefined {
    if (given === undefined) return 'it is not signed';
    const { statement } = given;
    if (statement.service !== service || statement.version !== version)
      return `its signature is that of ${statement.service} ${statement.version}`;
    if (statement.manifest !== manifest) return 'its manifest is not the one that was signed';
    if (isSigner(trust, given)) return undefined;
    return `it is signed by the key ${given.key.slice(0, 12)}, which may not sign, or its signature is not good`;
  }
}
