/** What a person's machine keeps of a login: where the controller is, how to know it, and the token. One file, 0600. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { keyId } from '@fleet/protocol/trust.ts';
import { z } from 'zod';
import { readGuarded, writeGuarded } from './guarded.ts';

const form = z.strictObject({
  /** The people's endpoint, like https://10.0.0.1:7300. */
  url: z.string().regex(/^https:\/\/[^\s/]{1,255}$/),
  token: z.string().max(200),
  /** The authority's certificate, PEM: whoever is not certified by it gets no token. */
  ca: z.string().max(10_000),
  /** Name of the root key: who says whose releases are good. */
  root: keyId,
});
export type Login = z.infer<typeof form>;

type Environment = Readonly<Record<string, string | undefined>>;

/** FLEET_LOGIN, else fleet/login.json in the user's own folder for configuration. */
export function loginPath(environment: Environment): string {
  const folder = environment.XDG_CONFIG_HOME || join(environment.HOME || homedir(), '.config');
  return environment.FLEET_LOGIN || join(folder, 'fleet', 'login.json');
}

/** Undefined where nobody is logged in. Throws `key_too_open`, and `bad_request` for a file that holds no login. */
export function readLogin(path: string): Login | undefined {
  const text = readGuarded(path);
  if (text === undefined) return undefined;
  try {
    return form.parse(JSON.parse(text));
  } catch (cause) {
    throw new FleetError('bad_request', `${path} holds no login`, {
      next: 'fleet logout, then fleet login again',
      cause,
    });
  }
}

export function writeLogin(path: string, login: Login): void {
  writeGuarded(path, `${JSON.stringify(login, null, 2)}\n`);
}
