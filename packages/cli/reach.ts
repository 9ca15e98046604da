/** The client that a verb's options ask for. */
import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { FleetError } from '@fleet/protocol/errors.ts';
import { loginPath, readLogin } from '@fleet/trust/login.ts';
import type { Cli } from './cli.ts';
import { type Client, type Credentials, createClient, DEFAULT_CONTROLLER } from './client.ts';
import type { Reporting } from './flags.ts';

export function reachController(cli: Pick<Cli, 'environment' | 'stopped'>, options: Reporting): Client {
  const named = options.controller ?? (cli.environment.FLEET_CONTROLLER || undefined);
  const login = named?.startsWith('http:') ? undefined : loginOf(cli.environment);
  return createClient({
    controller: named ?? login?.url ?? DEFAULT_CONTROLLER,
    credentials: login,
    by: `${userName(cli.environment)}@${hostname()}`,
    signal: cli.stopped,
    verbatim: options.json ?? false,
  });
}

/** FLEET_TOKEN and FLEET_CA, for programs; else what `fleet login` wrote. Throws `bad_request`, `key_too_open`. */
export function loginOf(
  environment: Cli['environment'],
): (Credentials & { url?: string; root?: string }) | undefined {
  const { FLEET_TOKEN: token, FLEET_CA: file } = environment;
  if (!token && !file) return readLogin(loginPath(environment));
  if (!token || !file)
    throw new FleetError('bad_request', 'FLEET_TOKEN and FLEET_CA go together', {
      next: 'FLEET_CA is the file of the authority’s certificate: trust/ca.pem in the controller’s data directory',
    });
  try {
    return { token, ca: readFileSync(file, 'utf8') };
  } catch (cause) {
    throw new FleetError('bad_request', `${file} (FLEET_CA) cannot be read: ${String(cause)}`, { cause });
  }
}

function userName({ USER }: Cli['environment']): string {
  try {
    return userInfo().username;
  } catch {
    // The system may not know this user id, in a container for one.
    return USER || 'unknown';
  }
}
