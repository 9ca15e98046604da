/** The client that a verb's options ask for. */
import { hostname, userInfo } from 'node:os';
import type { Cli } from './cli.ts';
import { type Client, createClient, DEFAULT_CONTROLLER } from './client.ts';
import type { Reporting } from './flags.ts';

export function reachController(cli: Cli, options: Reporting): Client {
  return createClient({
    controller: options.controller ?? (cli.environment.FLEET_CONTROLLER || DEFAULT_CONTROLLER),
    by: `${userName(cli.environment)}@${hostname()}`,
    signal: cli.stopped,
    verbatim: options.json ?? false,
  });
}

function userName({ USER }: Cli['environment']): string {
  try {
    return userInfo().username;
  } catch {
    // The system may not know this user id, in a container for one.
    return USER || 'unknown';
  }
}
