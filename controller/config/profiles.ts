/** A profile of controller.yaml with everything in it that follows: users, policy, the content of its files, how its services run. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { hint, named } from '@fleet/config/names.ts';
import { type Profile, servicesOf } from '@fleet/config/profiles.ts';
import { peekService } from '@fleet/config/source.ts';
import type { ProfileService, ProfileShown } from '@fleet/protocol/api/profiles.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { fits } from '@fleet/protocol/policy.ts';
import type { Run } from '@fleet/protocol/service.ts';
import type { FleetConfig } from './config.ts';

/** How the newest version of a service runs that was built; undefined where there is none. */
export type Newest = (service: string) => Promise<{ version: string; run: Run } | undefined>;

const MAX_FILE = 1024 * 1024;

/** Throws `unknown_profile`, and `bad_config` where one of its files cannot be read. */
export async function resolveProfile(
  config: FleetConfig,
  name: string,
  newest: Newest,
): Promise<Omit<ProfileShown, 'agentsPort' | 'now'>> {
  const profile = named(config.profiles, name);
  if (profile === undefined)
    throw new FleetError(
      'unknown_profile',
      `there is no profile ${name}${hint(name, Object.keys(config.profiles))}`,
      { next: 'Add it to controller.yaml under `profiles`, or take one of those.' },
    );
  const { labels, controller = null, ssh, packages, steps, hooks } = profile;
  const policy = policyOf(config, profile);
  const services = await servicesWith(config, profile, policy.run_as, newest);
  return {
    profile: name,
    labels,
    controller,
    ssh,
    packages,
    users: usersOf(profile, services),
    files: await Promise.all(profile.files.map((file) => contentOf(file, dirname(config.file), name))),
    steps,
    hooks,
    policy,
    services,
  };
}

/** What is not said is the least: the services that the labels select, each as its own user, and just these labels. */
function policyOf(config: FleetConfig, { labels, policy }: Profile): ProfileShown['policy'] {
  const selected = [...new Set(servicesOf(config, labels).map(({ service }) => service))].sort();
  const services = policy.services ?? selected;
  const taken = Object.keys(config.services).filter((service) => fits(services, service));
  return {
    services,
    run_as: Object.fromEntries(
      [...new Set([...selected, ...taken])]
        .sort()
        .map((service) => [service, named(policy.run_as, service) ?? userCalled(service)]),
    ),
    upgrades: policy.upgrades,
    labels:
      policy.labels ?? Object.fromEntries(Object.entries(labels).map(([label, value]) => [label, [value]])),
  };
}

/** A user may not be called all that a service may. */
export function userCalled(service: string): string {
  const plain = service.replace(/[^a-z0-9_-]/g, '-').slice(0, 32);
  return /^[a-z_]/.test(plain) && !TAKEN.has(plain) ? plain : `svc-${plain}`.slice(0, 32);
}
/** Users that a Debian has anyway, and the agent's own. */
const TAKEN = new Set(
  'root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody fleet self'.split(
    ' ',
  ),
);

async function servicesWith(
  config: FleetConfig,
  { labels }: Profile,
  runAs: Record<string, string>,
  newest: Newest,
): Promise<ProfileService[]> {
  const found: ProfileService[] = [];
  for (const { service, environment } of servicesOf(config, labels)) {
    const built = await newest(service);
    const run = built?.run ?? (await runInSource(config, service));
    found.push({
      service,
      environment,
      user: runAs[service] ?? userCalled(service),
      version: built?.version ?? null,
      run: run ? told(run) : null,
    });
  }
  return found;
}

/** Of a service that was never built: as its repository says now, where that can be read. */
async function runInSource({ services }: FleetConfig, service: string): Promise<Run | undefined> {
  const known = named(services, service);
  const peek = known && (await peekService(known.source));
  return peek !== undefined && 'found' in peek ? peek.found.value?.run : undefined;
}

function told(run: Run): NonNullable<ProfileService['run']> {
  const { supervisor } = run;
  return {
    supervisor,
    unit: (supervisor === 'systemd' ? run.unit : undefined) ?? null,
    program: supervisor === 'supervisord' ? run.program : null,
    launched: supervisor === 'supervisord' && run.command !== undefined,
  };
}

function usersOf({ users }: Profile, services: ProfileService[]): ProfileShown['users'] {
  const all = new Map<string, ProfileShown['users'][number]>();
  for (const { user } of services) all.set(user, { name: user, groups: [], home: null });
  for (const [name, { groups, home = null }] of Object.entries(users)) all.set(name, { name, groups, home });
  return [...all.values()];
}

async function contentOf(
  { path, source, content = '', owner, group, mode }: Profile['files'][number],
  folder: string,
  profile: string,
): Promise<ProfileShown['files'][number]> {
  const file = { path, owner, group, mode };
  if (source === undefined) return { ...file, content: Buffer.from(content).toString('base64') };
  const from = resolve(folder, source);
  const bytes = await readFile(from).catch((cause: unknown) => {
    throw new FleetError('bad_config', `profile ${profile}: ${from} cannot be read: ${String(cause)}`, {
      cause,
    });
  });
  if (bytes.length > MAX_FILE)
    throw new FleetError('bad_config', `profile ${profile}: ${from} is larger than ${MAX_FILE / 1024} KiB`, {
      next: 'files of a profile are configuration; what is larger belongs in a package or a release',
    });
  return { ...file, content: bytes.toString('base64') };
}
