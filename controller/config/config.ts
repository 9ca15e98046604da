/** controller.yaml as the controller holds it: checked, with paths that hold from everywhere, and frozen. Lookups are pure. */
import { dirname, resolve } from 'node:path';
import { checkPlacements } from '@fleet/config/check.ts';
import { type ControllerConfig, controllerConfig, type Placement } from '@fleet/config/controller.ts';
import { inspectYaml, refuseProblems } from '@fleet/config/load.ts';
import { hint, named } from '@fleet/config/names.ts';
import { resolveSource } from '@fleet/config/source.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { isOwn, type Labels, OWN_ENVIRONMENT } from '@fleet/protocol/words.ts';
import { OWN_KEEP, ownPlacement } from './own.ts';

export interface FleetConfig extends ControllerConfig {
  /** The file that it was read from, absolute. */
  file: string;
}
/** One service in one environment. */
export interface Placed extends Placement {
  service: string;
  environment: string;
  /** On a host that a rehearsal has borrowed: no balancer, no once steps, and it counts for nobody. */
  rehearsed?: true;
}
export interface LabelledHost {
  host: string;
  labels: Labels;
}

/**
 * Throws FleetError `bad_config` with every problem. A service's own fleet.yaml is not looked at: one service that does not
 * build must not keep the controller from the others. `fleet config check` looks at all of it.
 */
export async function loadConfig(path: string): Promise<FleetConfig> {
  const file = resolve(path);
  const { value, problems, problemAt } = await inspectYaml(file, controllerConfig, path);
  if (value === undefined) throw refuseProblems(problems);
  const wrong = checkPlacements(value, problemAt);
  if (wrong.length > 0) throw refuseProblems(wrong);
  return freeze({ ...withPaths(value, dirname(file)), file });
}

function withPaths(config: ControllerConfig, folder: string): ControllerConfig {
  const services = Object.entries(config.services).map(([name, service]) => [
    name,
    { ...service, source: resolveSource(service.source, folder) },
  ]);
  const balancers = Object.entries(config.balancers).map(([name, balancer]) => [
    name,
    balancer.kind === 'haproxy' && !/^[^/]+:\d+$/.test(balancer.address)
      ? { ...balancer, address: resolve(folder, balancer.address) }
      : balancer,
  ]);
  const secrets = Object.entries(config.secrets).map(([name, source]) => [
    name,
    'file' in source ? { ...source, file: resolve(folder, source.file) } : source,
  ]);
  return {
    ...config,
    data: resolve(folder, config.data),
    programs: config.programs && resolve(folder, config.programs),
    secrets: Object.fromEntries(secrets),
    services: Object.fromEntries(services),
    balancers: Object.fromEntries(balancers),
  };
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

/** Releases of a service that stay on a host. */
export function keepOf(config: ControllerConfig, service: string): number {
  return isOwn(service) ? OWN_KEEP : config.services[service]!.keep;
}

/** Throws `unknown_service`, with the nearest name. */
export function checkService(config: ControllerConfig, service: string): void {
  if (isOwn(service) || named(config.services, service) !== undefined) return;
  throw new FleetError(
    'unknown_service',
    `there is no service ${service}${hint(service, Object.keys(config.services))}`,
    { next: 'Add it to controller.yaml under `services`, or take one of those.' },
  );
}

/** Throws `unknown_environment`, with the nearest name. */
export function checkEnvironment(config: ControllerConfig, environment: string): void {
  if (environment === OWN_ENVIRONMENT || named(config.environments, environment) !== undefined) return;
  throw new FleetError(
    'unknown_environment',
    `there is no environment ${environment}${hint(environment, Object.keys(config.environments))}`,
    { next: 'Add it to controller.yaml under `environments`, or take one of those.' },
  );
}

/** Throws `unknown_service`, `unknown_environment` for a name that is given and stands nowhere. */
export function checkNames(
  config: ControllerConfig,
  { service, environment }: { service?: string | undefined; environment?: string | undefined },
): void {
  if (service !== undefined) checkService(config, service);
  if (environment !== undefined) checkEnvironment(config, environment);
}

/**
 * Where a service runs. The environment may be left out only where there is exactly one. Throws `unknown_service`,
 * `unknown_environment`.
 */
export function placementOf(config: ControllerConfig, service: string, environment?: string): Placed {
  checkService(config, service);
  if (isOwn(service)) return ownPlacement(service, environment);
  const having = Object.entries(config.environments).flatMap(([name, { services }]) => {
    const placement = named(services, service);
    return placement === undefined ? [] : [{ ...placement, service, environment: name }];
  });
  const names = having.map((placed) => placed.environment);
  if (environment !== undefined) {
    const placed = having.find((one) => one.environment === environment);
    if (placed !== undefined) return placed;
    const exists = named(config.environments, environment) !== undefined;
    throw new FleetError(
      'unknown_environment',
      exists
        ? `${service} is not in the environment ${environment}${names.length === 0 ? '' : `; it is in ${names.join(', ')}`}`
        : `there is no environment ${environment}${hint(environment, Object.keys(config.environments))}`,
      { next: `Name one with -e, or add ${service} to it in controller.yaml under \`environments\`.` },
    );
  }
  if (having.length === 1) return having[0]!;
  throw new FleetError(
    'unknown_environment',
    having.length === 0
      ? `${service} is in no environment`
      : `${service} is in several environments: ${names.join(', ')}`,
    {
      next:
        having.length === 0
          ? `Add ${service} to an environment in controller.yaml.`
          : `Say which one: -e ${names[0]}`,
    },
  );
}

/** The label of a host that a rehearsal has borrowed; its value is the rehearsal's name. Its join token gives it. */
export const REHEARSAL = 'rehearsal';
export function isRehearsal({ labels }: LabelledHost): boolean {
  return named(labels, REHEARSAL) !== undefined;
}

/**
 * The hosts that have all of a placement's labels, web-2 before web-10. One that a rehearsal has borrowed is never among them: no
 * deployment of the others touches it, no balancer is told of it, and it is not counted.
 */
export function hostsOf<H extends LabelledHost>(placement: Placement, hosts: readonly H[]): H[] {
  return hosts
    .filter((host) => !isRehearsal(host) && hasLabels(placement, host))
    .sort((one, other) => byName.compare(one.host, other.host) || (one.host < other.host ? -1 : 1));
}
function hasLabels({ hosts: wanted }: Placement, { labels }: LabelledHost): boolean {
  return Object.entries(wanted).every(([name, value]) => named(labels, name) === value);
}

/** Every service and environment that a host is for, as it is deployed on this host. */
export function placesOn(config: ControllerConfig, host: LabelledHost): Placed[] {
  return Object.entries(config.environments)
    .flatMap(([environment, { services }]) =>
      Object.entries(services).map(([service, placement]) => ({ ...placement, service, environment })),
    )
    .filter((placed) => hasLabels(placed, host))
    .map((placed) => (isRehearsal(host) ? rehearsed(placed) : placed));
}

/** A placement as a rehearsal has it: users never come to its host, and what runs once has run. */
function rehearsed(placed: Placed): Placed {
  const strategy = { ...placed.strategy, min_visible: 0 };
  return { ...placed, balancer: undefined, strategy, rehearsed: true };
}

const byName = new Intl.Collator('en', { numeric: true });

/** Values by variable; of a secret, its name. */
export type ConfiguredValues = Record<string, string | { secret: string }>;

/** What controller.yaml gives a service on one host. Throws `missing_variable` where a host lacks a label. */
export function valuesFor({ values }: Placement, host: LabelledHost): ConfiguredValues {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value !== 'string' && 'label' in value
        ? labelOf(host, value.label, `the variable ${name}`)
        : value,
    ]),
  );
}

/** `{host}` and `{label.NAME}` become the host's own. Throws `missing_variable`. */
export function fillTemplate(template: string, host: LabelledHost): string {
  return template.replace(/\{(?:host|label\.([^}]+))\}/g, (_, label: string | undefined) =>
    label === undefined ? host.host : labelOf(host, label, template),
  );
}

function labelOf({ host, labels }: LabelledHost, label: string, wantedFor: string): string {
  const value = named(labels, label);
  if (value === undefined)
    throw new FleetError(
      'missing_variable',
      `${host} has no label \`${label}\`, which ${wantedFor} is taken from`,
      {
        next: `give it one with the profile or the join token that it joins by (fleet hosts remove ${host}, then again); in development, in its agent.yaml`,
        data: { host, label },
      },
    );
  return value;
}
