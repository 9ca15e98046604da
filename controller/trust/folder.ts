/**
 * DATA/trust: what `fleet init` made, opened at each start. Everything in it is 0600 in a folder of 0700, and the controller does not
 * start where others could read it. Who signs releases is another matter: see signing.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { readGuarded, writeGuarded } from '@fleet/trust/guarded.ts';
import { keyIdOf, keyPairFrom, publicKeyFrom, publicText } from '@fleet/trust/keys.ts';
import { validity } from '@fleet/trust/tls.ts';
import { type Authority, openAuthority } from './authority.ts';

export const TRUST_FILES = {
  caKey: 'ca.key',
  ca: 'ca.pem',
  controllerKey: 'controller.key',
  controller: 'controller.pem',
  releaseKey: 'release.key',
  root: 'root.pub',
  trust: 'trust.json',
} as const;

export const trustFolder = (data: string) => join(data, 'trust');

/** The controller's own certificate and key, as PEM. */
export interface ControllerTls {
  cert: string;
  key: string;
}

export interface Trust {
  authority: Authority;
  /** Names of the authority's key and of the root key: what join strings carry. */
  caKeyId: string;
  rootKeyId: string;
  /** Renewed where half of its life is over. */
  controllerTls(): Promise<ControllerTls>;
}

/**
 * What is done in development, where nobody is asked, must not be signed by a fleet in earnest afterwards. Throws `bad_config`.
 */
export function refuseKeys(data: string, config: string): void {
  if (!existsSync(trustFolder(data))) return;
  throw new FleetError(
    'bad_config',
    `${data} has the keys of a fleet in earnest, and ${config} says development`,
    {
      next: 'take `development: true` out of it, or name another `data` folder to try things out',
    },
  );
}

/** Throws `not_initialised`, `key_too_open`. `clock` gives milliseconds since 1970; `config` is named in what to do next. */
export async function openTrust(data: string, clock: () => number, config: string): Promise<Trust> {
  const folder = trustFolder(data);
  checkFolder(folder);
  const need = (name: string) => {
    const text = readGuarded(join(folder, name));
    if (text === undefined)
      throw new FleetError(
        'not_initialised',
        `${join(folder, name)} is not there: this controller has no keys`,
        {
          next: `fleet init controller --config ${config}, or \`development: true\` in it to try things out on this machine alone`,
        },
      );
    return text;
  };
  const caKeys = keyPairFrom(need(TRUST_FILES.caKey), join(folder, TRUST_FILES.caKey));
  const authority = await openAuthority(caKeys, need(TRUST_FILES.ca), clock);
  const root = need(TRUST_FILES.root).trim();
  const key = need(TRUST_FILES.controllerKey);
  const certificate = join(folder, TRUST_FILES.controller);

  return {
    authority,
    caKeyId: keyIdOf(caKeys.publicKey),
    rootKeyId: keyIdOf(publicKeyFrom(root)),
    async controllerTls() {
      const known = readGuarded(certificate);
      if (known !== undefined && !isHalfOver(known, clock())) return { cert: known, key };
      const { publicKey } = keyPairFrom(key, join(folder, TRUST_FILES.controllerKey));
      const cert = await authority.issueController(publicText(publicKey));
      writeGuarded(certificate, cert);
      return { cert, key };
    },
  };
}

export function isHalfOver(certificate: string, now: number): boolean {
  const { from, to } = validity(certificate);
  return now >= (from + to) / 2 || now < from;
}

function checkFolder(folder: string): void {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (stat === undefined || (stat.mode & 0o077) === 0) return;
  throw new FleetError(
    'key_too_open',
    `${folder} may be read by others (mode ${(stat.mode & 0o777).toString(8)})`,
    {
      next: `look who has been in it; then chmod 700 ${folder}`,
    },
  );
}
