/** What a host of a profile has, as values: every file with its text, every user, every unit. Nothing is asked here. */
import { createHash } from 'node:crypto';
import type { ProfileService, ProfileShown } from '@fleet/protocol/api/profiles.ts';
import { agentUnit } from '@fleet/units/agentUnit.ts';
import { HALT, LAUNCH } from '@fleet/units/launch.ts';
import { AGENT_UNIT, AGENT_USER, PLACES, script } from '@fleet/units/places.ts';
import { supervisordProgram } from '@fleet/units/program.ts';
import { serviceUnit, unitOf } from '@fleet/units/serviceUnit.ts';
import { SETTLE } from '@fleet/units/settle.ts';
import { SUDOERS, sudoers } from '@fleet/units/sudoers.ts';
import type { NewFile, NewUser, Place } from './acts.ts';
import type { Questions } from './inventory.ts';
import type { ForHost } from './programs.ts';
import { filesOf } from './putProgram.ts';

/** Where releases go, and where the agent has its data: what agent.yaml will say. */
export const ROOT = '/srv/fleet';
export const DATA = '/var/lib/fleet';
/** Where Debian's supervisord looks for programs. */
export const SUPERVISORD = '/etc/supervisor/conf.d';
/** Groups of Debian's own: with it, the agent reads what services say to the journal. */
const JOURNAL = 'systemd-journal';

export interface Wanted {
  host: string;
  profile: ProfileShown;
  packages: string[];
  users: NewUser[];
  /** By user. */
  groups: Map<string, string[]>;
  /** Root's, to be there before users are made. */
  before: Place[];
  after: Place[];
  /** The profile's own. */
  files: NewFile[];
  /** Fleet's own. */
  own: NewFile[];
  /** Units that fleet makes, besides the agent's. */
  units: string[];
  programs: ForHost;
}

export function wantedOf(host: string, profile: ProfileShown, programs: ForHost): Wanted {
  const users = profile.users.map(({ name, home }) => ({
    name,
    home: home ?? '/nonexistent',
    makeHome: home !== null,
  }));
  const owners = [...new Set(Object.values(profile.policy.run_as))];
  const groups = new Map(
    profile.users.filter((each) => each.groups.length > 0).map((each) => [each.name, each.groups]),
  );
  groups.set(AGENT_USER, [...owners, JOURNAL]);
  return {
    host,
    profile,
    packages: [
      ...profile.packages,
      ...(profile.services.some(({ run }) => run?.program) ? ['supervisor'] : []),
    ],
    users: [{ name: AGENT_USER, home: DATA, makeHome: false }, ...users],
    groups,
    before: ['/etc/fleet', PLACES.scripts].map((path) => ({
      path,
      mode: '0755',
      owner: 'root',
      group: 'root',
    })),
    after: [
      { path: ROOT, mode: '0755', owner: AGENT_USER, group: AGENT_USER },
      { path: DATA, mode: '0700', owner: AGENT_USER, group: AGENT_USER },
    ],
    files: profile.files.map((file) => fileOf(file.path, Buffer.from(file.content, 'base64'), file)),
    own: ownFiles(profile),
    units: unitsOf(profile.services).map(({ unit }) => unit),
    programs,
  };
}

/** What is looked for on the host. */
export function questionsOf({
  packages,
  users,
  groups,
  before,
  after,
  files,
  own,
  units,
  programs,
}: Wanted): Questions {
  return {
    users: users.map(({ name }) => name),
    groups: [...new Set([...groups.values()].flat())],
    packages,
    files: [...files, ...own].map(({ path }) => path),
    directories: [...before, ...after].map(({ path }) => path),
    units: [AGENT_UNIT, ...units],
    programs: [programs.node, programs.agent].map(({ service, version, main, manifest }) => ({
      ...{ service, version, main },
      files: filesOf(manifest),
    })),
    root: ROOT,
    data: DATA,
  };
}

function ownFiles(profile: ProfileShown): NewFile[] {
  const scripts = { settle: SETTLE, launch: LAUNCH, halt: HALT };
  const units = unitsOf(profile.services);
  const rights = {
    users: [...new Set(Object.values(profile.policy.run_as))],
    units: [...units.map(({ unit }) => unit), ...profile.services.flatMap(({ run }) => run?.unit ?? [])],
    programs: profile.services.flatMap(({ run }) => run?.program ?? []),
  };
  return [
    fileOf(PLACES.config, agentYaml(profile)),
    ...Object.entries(scripts).map(([name, text]) =>
      fileOf(script(name as keyof typeof scripts), text, { mode: '0755' }),
    ),
    fileOf(`${PLACES.units}/${AGENT_UNIT}`, agentUnit({ root: ROOT })),
    ...units.map(({ unit, service, user }) =>
      fileOf(`${PLACES.units}/${unit}`, serviceUnit({ service, user, root: ROOT })),
    ),
    ...profile.services.flatMap(({ run, service, user }) =>
      run?.program && run.launched
        ? [
            fileOf(
              `${SUPERVISORD}/fleet-${service}.conf`,
              supervisordProgram({ program: run.program, service, user, root: ROOT }),
            ),
          ]
        : [],
    ),
    { ...fileOf(SUDOERS, sudoers(rights), { mode: '0440' }), check: ['visudo', '-cqf'] },
  ];
}

/** One unit a service that systemd looks after, or that nothing is known of yet; not for a team's own unit. */
function unitsOf(
  services: readonly ProfileService[],
): Array<{ unit: string; service: string; user: string }> {
  const made = services.filter(
    ({ run }) => run === null || (run.supervisor === 'systemd' && run.unit === null),
  );
  return made.map(({ service, user }) => ({ unit: unitOf(service), service, user }));
}

/** What is written in JSON is YAML, too. */
function agentYaml({ profile, policy }: ProfileShown): string {
  const mapping = (entries: Record<string, unknown>) =>
    Object.entries(entries).map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return `${[
    `# Made by \`fleet hosts add\` from the profile ${profile}: what may be done on this host, whatever a controller says.`,
    `root: ${ROOT}`,
    `data: ${DATA}`,
    'policy:',
    `  services: ${JSON.stringify(policy.services)}`,
    `  upgrades: ${policy.upgrades}`,
    ...section('run_as', mapping(policy.run_as)),
    ...section('labels', mapping(policy.labels)),
  ].join('\n')}\n`;
}

function section(name: string, lines: string[]): string[] {
  return lines.length === 0 ? [`  ${name}: {}`] : [`  ${name}:`, ...lines];
}

function fileOf(path: string, text: string | Buffer, rights: Partial<Omit<Place, 'path'>> = {}): NewFile {
  const content = Buffer.from(text);
  const { mode = '0644', owner = 'root', group = 'root' } = rights;
  return { path, content, sha256: createHash('sha256').update(content).digest('hex'), mode, owner, group };
}
