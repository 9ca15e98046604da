/** A version with its values on this host: what its programs are started with. */
import { type User, userEnvironment } from '@fleet/process/user.ts';
import { substitute } from '@fleet/protocol/service.ts';
import type { Host } from '../host.ts';
import type { Home } from '../releases/layout.ts';
import type { Release } from '../releases/release.ts';
import type { Instance } from '../supervisors/supervisor.ts';
import type { RunValues } from './values.ts';

export interface Runtime extends RunValues {
  host: Host;
  home: Home;
  release: Release;
  /** Whom its programs run as; undefined for the agent's own user. */
  user: User | undefined;
}

/** Throws `policy_refused` where agent.yaml does not say as whom the service runs, or there is no such user. */
export async function openRuntime(parts: Omit<Runtime, 'user'>): Promise<Runtime> {
  return { ...parts, user: await parts.host.policy.userOf(parts.home.service) };
}

export function argvOf({ values }: Pick<Runtime, 'values'>, argv: string[]): string[] {
  return argv.map((element) => substitute(element, values));
}

/** The same for the service, its hooks and its checks. */
export function environmentOf({ host, home, release, values, user }: Runtime): Record<string, string> {
  const own = Object.entries(release.service.run.environment);
  return {
    ...host.environment,
    ...(user && userEnvironment(user)),
    ...Object.fromEntries(own.map(([name, element]) => [name, substitute(element, values)])),
    FLEET_SERVICE: home.service,
    FLEET_VERSION: release.version,
    FLEET_HOST: host.name,
  };
}

export function instanceOf(runtime: Runtime): Instance {
  const { host, home, release, user } = runtime;
  return {
    host: host.name,
    service: home.service,
    version: release.version,
    release: release.directory,
    home: home.run,
    run: release.service.run,
    argvOf: (argv) => argvOf(runtime, argv),
    environment: environmentOf(runtime),
    user,
    secrets: Object.fromEntries(runtime.secrets.map((name) => [name, runtime.values[name] ?? ''])),
  };
}
