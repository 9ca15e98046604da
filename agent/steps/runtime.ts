/** A version with its values on this host: what its programs are started with. */
import { substitute } from '@fleet/protocol/service.ts';
import type { Host } from '../host.ts';
import type { Home } from '../releases/layout.ts';
import type { Release } from '../releases/release.ts';
import type { Instance } from '../supervisors/supervisor.ts';

export interface Runtime {
  host: Host;
  home: Home;
  release: Release;
  /** Every declared variable, and VERSION: see valuesFor. */
  values: Readonly<Record<string, string>>;
}

export function argvOf({ values }: Pick<Runtime, 'values'>, argv: string[]): string[] {
  return argv.map((element) => substitute(element, values));
}

/** The same for the service, its hooks and its checks. */
export function environmentOf({ host, home, release, values }: Runtime): Record<string, string> {
  const own = Object.entries(release.service.run.environment);
  return {
    ...host.environment,
    ...Object.fromEntries(own.map(([name, element]) => [name, substitute(element, values)])),
    FLEET_SERVICE: home.service,
    FLEET_VERSION: release.version,
    FLEET_HOST: host.name,
  };
}

export function instanceOf(runtime: Runtime): Instance {
  const { home, release } = runtime;
  return {
    service: home.service,
    version: release.version,
    release: release.directory,
    home: home.run,
    run: release.service.run,
    argvOf: (argv) => argvOf(runtime, argv),
    environment: environmentOf(runtime),
  };
}
