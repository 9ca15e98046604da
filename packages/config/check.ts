/** What a controller.yaml means beyond its form: names that must exist, hosts that two environments must not both claim. */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { EXPOSED, exposuresOf, type Service } from '@fleet/protocol/service.ts';
import { checkProfiles } from './checkProfiles.ts';
import { type ControllerConfig, controllerConfig, type Placement, secretOf } from './controller.ts';
import { type Inspected, inspectYaml } from './load.ts';
import { hint, named } from './names.ts';
import type { Problem } from './parse.ts';
import { peekService, resolveSource } from './source.ts';

type At = Inspected<ControllerConfig>['problemAt'];

export interface Checked {
  config: ControllerConfig | undefined;
  problems: Problem[];
  /** What is allowed and still worth knowing, and what could not be looked at. */
  notes: string[];
}

/** Everything that can be known before anything is built or deployed. Throws `bad_config` where there is no file to read. */
export async function checkController(path: string): Promise<Checked> {
  const { value: config, problems, problemAt } = await inspectYaml(path, controllerConfig);
  if (config === undefined) return { config, problems, notes: [] };
  const notes: string[] = [];
  const found = [
    ...checkPlacements(config, problemAt),
    ...checkSecretFiles(config, dirname(path), problemAt, notes),
    ...checkProfiles(config, dirname(path), problemAt, notes),
  ];
  for (const name of Object.keys(config.services)) {
    found.push(...(await checkService(config, name, dirname(path), problemAt, notes)));
    if (!Object.values(config.environments).some(({ services }) => named(services, name)))
      notes.push(`${name} is in no environment: it can be built, and goes nowhere.`);
  }
  return { config, problems: found, notes };
}

/** The part that needs no other file: what the controller itself insists on when it starts. */
export function checkPlacements(config: ControllerConfig, problemAt: At): Problem[] {
  const problems: Problem[] = [];
  for (const [environment, { services }] of Object.entries(config.environments))
    for (const [service, placement] of Object.entries(services)) {
      const at = ['environments', environment, 'services', service];
      if (named(config.services, service) === undefined)
        problems.push(problemAt(at, `no such service${hint(service, Object.keys(config.services))}`, 'key'));
      problems.push(...checkBalancer(config, placement, at, problemAt));
      problems.push(...checkBatches(placement, at, problemAt));
      problems.push(...checkSecretNames(config, placement, at, problemAt));
    }
  problems.push(...checkOverlaps(config, problemAt), ...checkListeners(config, problemAt));
  return problems;
}

function* checkBalancer(
  config: ControllerConfig,
  { balancer }: Placement,
  path: string[],
  problemAt: At,
): Generator<Problem> {
  if (balancer === undefined) return;
  const at = [...path, 'balancer'];
  const known = named(config.balancers, balancer.name);
  if (known === undefined)
    yield problemAt(
      [...at, 'name'],
      `no such balancer \`${balancer.name}\`${hint(balancer.name, Object.keys(config.balancers))}`,
    );
  else if (known.kind === 'embedded' && balancer.address === undefined)
    yield problemAt(
      at,
      'the embedded balancer must be told where it finds a host: add `address: 127.0.0.1:{label.port}`',
      'key',
    );
  else if (known.kind !== 'embedded' && balancer.address !== undefined && !balancer.address.includes('{'))
    yield problemAt(
      [...at, 'address'],
      'every host would be added under one address: take it from the host, like {label.address}:80',
    );
}

function* checkSecretNames(
  config: ControllerConfig,
  { values }: Placement,
  path: string[],
  problemAt: At,
): Generator<Problem> {
  for (const [name, value] of Object.entries(values)) {
    const secret = secretOf(value);
    if (secret !== undefined && named(config.secrets, secret) === undefined)
      yield problemAt(
        [...path, 'values', name, 'secret'],
        `no such secret \`${secret}\`${hint(secret, Object.keys(config.secrets))}`,
      );
  }
}

/** Only whether files are there and closed: the environment is the controller's own, and so is what its commands print. */
function* checkSecretFiles(
  config: ControllerConfig,
  folder: string,
  problemAt: At,
  notes: string[],
): Generator<Problem> {
  for (const [name, source] of Object.entries(config.secrets)) {
    if (!('file' in source)) continue;
    const file = resolve(folder, source.file);
    const found = statSync(file, { throwIfNoEntry: false });
    const at = ['secrets', name, 'file'];
    if (found === undefined) notes.push(`the secret ${name}: there is no file ${file} on this machine.`);
    else if ((found.mode & 0o077) !== 0)
      yield problemAt(
        at,
        `${file} may be read by others (mode ${(found.mode & 0o777).toString(8)}): chmod 600 ${file}`,
      );
  }
}

function* checkBatches({ balancer, strategy }: Placement, path: string[], problemAt: At): Generator<Problem> {
  for (const [index, batch] of strategy.batch.entries()) {
    const percent = batch.endsWith('%') ? Number(batch.slice(0, -1)) : undefined;
    const at = [...path, 'strategy', 'batch', index];
    if (percent === undefined) continue;
    if (percent > 100) yield problemAt(at, `${batch} of the hosts is more than there are`);
    else if (percent === 100 && balancer !== undefined && strategy.min_visible > 0)
      yield problemAt(
        at,
        `100% would hide every host, and min_visible is ${strategy.min_visible}: take a smaller batch, or write \`min_visible: 0\``,
      );
  }
}

/** A host has one `current` of a service, so two environments of one service must never select the same host. */
function* checkOverlaps(config: ControllerConfig, problemAt: At): Generator<Problem> {
  for (const service of Object.keys(config.services)) {
    const placed = Object.entries(config.environments).flatMap(([environment, { services }]) => {
      const placement = named(services, service);
      return placement === undefined ? [] : [{ environment, hosts: placement.hosts }];
    });
    for (const [index, later] of placed.entries()) {
      const earlier = placed.slice(0, index).find(({ hosts }) => mayMeet(hosts, later.hosts));
      if (earlier === undefined) continue;
      yield problemAt(
        ['environments', later.environment, 'services', service, 'hosts'],
        `a host with these labels may also be in ${earlier.environment}, and one host cannot run two environments of ${service}: ` +
          `give both a label with different values, like \`environment: ${later.environment}\` and \`environment: ${earlier.environment}\` ` +
          '(two on one machine are two agents, each with its own name and root)',
        'key',
      );
    }
  }
}

/** Only a label on which they differ keeps two selections apart. */
function mayMeet(one: Record<string, string>, other: Record<string, string>): boolean {
  return Object.entries(one).every(([name, value]) => (named(other, name) ?? value) === value);
}

function* checkListeners(config: ControllerConfig, problemAt: At): Generator<Problem> {
  const taken = new Map([[config.listen, 'the controller']]);
  for (const [name, balancer] of Object.entries(config.balancers)) {
    if (balancer.kind !== 'embedded') continue;
    const owner = taken.get(balancer.listen);
    if (owner !== undefined)
      yield problemAt(['balancers', name, 'listen'], `${owner} listens on ${balancer.listen} already`);
    taken.set(balancer.listen, `balancer ${name}`);
  }
}

/** The service's own fleet.yaml, and whether what the environments give it is what it declares. */
async function checkService(
  config: ControllerConfig,
  name: string,
  folder: string,
  problemAt: At,
  notes: string[],
): Promise<Problem[]> {
  const at = ['services', name, 'source'];
  const peek = await peekService(resolveSource(config.services[name]!.source, folder));
  if ('missing' in peek) return [problemAt(at, peek.missing, 'key')];
  if ('elsewhere' in peek) {
    notes.push(`${name}: fleet.yaml was not looked at, ${peek.elsewhere}.`);
    return [];
  }
  const { value: service, problems, problemAt: inService } = peek.found;
  if (service === undefined) return problems;
  const found: Problem[] = [];
  if (service.service !== name)
    found.push(inService(['service'], `is \`${service.service}\`, but controller.yaml calls it \`${name}\``));
  for (const [environment, { services }] of Object.entries(config.environments)) {
    const placement = named(services, name);
    if (placement === undefined) continue;
    const path = ['environments', environment, 'services', name];
    found.push(...checkValues(service, placement, path, peek.file, problemAt));
    if (placement.once_on !== undefined && service.once.length === 0)
      notes.push(`${name} in ${environment}: once_on has no effect, fleet.yaml has no once steps.`);
  }
  return found;
}

function* checkValues(
  service: Service,
  { values }: Placement,
  path: string[],
  file: string,
  problemAt: At,
): Generator<Problem> {
  const { variables } = service;
  for (const name of Object.keys(values))
    if (named(variables, name) === undefined)
      yield problemAt(
        [...path, 'values', name],
        `${file} declares no such variable${hint(name, Object.keys(variables))}`,
        'key',
      );
  for (const [name, { default: fallback }] of Object.entries(variables))
    if (fallback === undefined && named(values, name) === undefined)
      yield problemAt(
        [...path, 'values'],
        `${name} has no value: ${file} declares it without a default`,
        'key',
      );
  for (const [name, value] of Object.entries(values)) {
    const at = [...path, 'values', name];
    if (typeof value !== 'string' && 'label' in value && named(variables, name)?.secret)
      yield problemAt(at, `${file} declares it as a secret, and labels are shown to everybody`, 'key');
    const [exposed] = secretOf(value) === undefined ? [] : exposuresOf(service, name);
    if (exposed !== undefined)
      yield problemAt(at, `is a secret, and stands in ${file} at ${exposed.join('.')}: ${EXPOSED}`, 'key');
  }
}
