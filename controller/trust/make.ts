/** What `fleet init` makes: once, and never over what is there. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { TrustStatement } from '@fleet/protocol/trust.ts';
import { writeGuarded } from '@fleet/trust/guarded.ts';
import { keyIdOf, makeSigningKey, makeTlsKey, privatePem, publicText } from '@fleet/trust/keys.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import { makeAuthority, openAuthority } from './authority.ts';
import { TRUST_FILES, trustFolder } from './folder.ts';

/** The root key beside the configuration, until a person takes it offline. */
export const ROOT_KEY = 'fleet-root.key';

export interface Made {
  folder: string;
  rootKey: string;
  /** The authority's certificate, PEM. */
  ca: string;
  caKeyId: string;
  rootKeyId: string;
}

/** False where this controller has its keys already. */
export function hasTrust(data: string): boolean {
  return existsSync(join(trustFolder(data), TRUST_FILES.trust));
}

/**
 * Makes the authority, the controller's certificate, the release key, and the root key that says so. The document of trust is
 * written last: without it nothing was made. Throws `bad_request` where there is a root key already.
 */
export async function makeTrust(data: string, config: string, now: number): Promise<Made> {
  const folder = trustFolder(data);
  const rootKey = join(dirname(config), ROOT_KEY);
  if (existsSync(rootKey))
    throw new FleetError('bad_request', `${rootKey} is there already, and ${folder} is not`, {
      next: `it is another fleet’s root key, or was left when ${data} was lost: fleet restore brings a backup back; else move it away`,
    });
  mkdirSync(data, { recursive: true, mode: 0o700 });
  rmSync(folder, { recursive: true, force: true });
  const [ca, controller, release, root] = [makeTlsKey(), makeTlsKey(), makeSigningKey(), makeSigningKey()];
  const authority = await openAuthority(ca, await makeAuthority(ca, now), () => now);
  const statement: TrustStatement = {
    kind: 'trust',
    serial: 1,
    level: 'L0',
    signers: [{ name: 'controller', key: publicText(release.publicKey) }],
    signedAt: now,
  };
  const write = (name: string, text: string) => writeGuarded(join(folder, name), text);
  write(TRUST_FILES.caKey, privatePem(ca.privateKey));
  write(TRUST_FILES.ca, authority.pem);
  write(TRUST_FILES.controllerKey, privatePem(controller.privateKey));
  write(TRUST_FILES.controller, await authority.issueController(publicText(controller.publicKey)));
  write(TRUST_FILES.releaseKey, privatePem(release.privateKey));
  write(TRUST_FILES.root, publicText(root.publicKey));
  writeGuarded(rootKey, privatePem(root.privateKey));
  write(TRUST_FILES.trust, `${JSON.stringify(signStatement(statement, root), null, 2)}\n`);
  return {
    folder,
    rootKey,
    ca: authority.pem,
    caKeyId: keyIdOf(ca.publicKey),
    rootKeyId: keyIdOf(root.publicKey),
  };
}
