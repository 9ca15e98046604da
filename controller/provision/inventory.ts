/** What of what a host should have is there already: one script, that reads what to look at and changes nothing. */
import { X509Certificate } from 'node:crypto';
import { FleetError } from '@fleet/protocol/errors.ts';
import { keyIdOf } from '@fleet/trust/keys.ts';
import { AGENT_UNIT, PLACES } from '@fleet/units/places.ts';
import type { Root } from './root.ts';

export interface Inventory {
  users: Map<string, { shell: string; home: string; groups: string[] }>;
  groups: Set<string>;
  packages: Set<string>;
  /** Plain files. */
  files: Map<string, Rights & { sha256: string }>;
  directories: Map<string, Rights>;
  units: Map<string, { enabled: boolean; active: boolean }>;
  /** Systemd knows of units what stood in their files before. */
  reload: boolean;
  /** The agent runs with what was there before: it was started before its files, its release or its groups were changed. */
  stale: boolean;
  programs: Map<string, Installed>;
  /** libstdc++ is where Node looks for it. */
  libstdcpp: boolean;
  sudo: boolean;
  joined: JoinedHost | undefined;
  /** What fleet has made on it, one line each. */
  made: string[];
}
export interface Rights {
  /** Like 0644. */
  mode: string;
  owner: string;
  group: string;
}
export interface Installed {
  /** The version that `current` names. */
  current: string | undefined;
  /** Versions that were looked for, and are there with every file as it should be. */
  whole: Set<string>;
  /** What `current` names can be started. */
  runs: boolean;
}
export interface JoinedHost {
  host: string;
  url: string;
  /** Names of the authority's key, and of the host's own. */
  ca: string;
  key: string;
}

export interface Questions {
  users: readonly string[];
  groups: readonly string[];
  packages: readonly string[];
  files: readonly string[];
  directories: readonly string[];
  units: readonly string[];
  programs: ReadonlyArray<{
    service: string;
    version: string;
    /** What is started of it, below the release. */
    main: string;
    files: ReadonlyArray<{ path: string; sha256: string }>;
  }>;
  /** Where releases go, and where the agent has its data. */
  root: string;
  data: string;
}

const SCRIPT = `
root=$1 data=$2 agent=$3 config=$4 unit=$5
say() { printf '%s\\t%s\\n' "$1" "$2"; }
while IFS=' ' read -r word name rest; do
  whole=$name\${rest:+ $rest}
  case $word in
  user)
    line=$(getent passwd "$name") && { say user "$line"; say member "$name $(id -Gn "$name")"; } ;;
  group) getent group "$name" >/dev/null && say group "$name" ;;
  package)
    case $(dpkg-query -W -f '\${Status}' "$name" 2>/dev/null) in
    'install ok installed') say package "$name" ;;
    esac ;;
  file) [ -f "$whole" ] && [ ! -L "$whole" ] && say file "$(stat -c '%a %U %G' "$whole") $(sha256sum <"$whole" | cut -c 1-64) $whole" ;;
  directory) [ -d "$whole" ] && [ ! -L "$whole" ] && say directory "$(stat -c '%a %U %G' "$whole") $whole" ;;
  unit)
    say unit "$(systemctl is-enabled "$name" 2>/dev/null || true):$(systemctl is-active "$name" 2>/dev/null || true):$name"
    [ "$(systemctl show -p NeedDaemonReload --value "$name")" = yes ] && say reload "$name" ;;
  current)
    target=$(readlink "$root/$name/current" 2>/dev/null) && {
      say current "$name $(basename "$target")"
      [ -x "$root/$name/current/$rest" ] || [ -f "$root/$name/current/$rest" ] && say runs "$name"
    } ;;
  release)
    at=$root/$name
    [ -f "$at/manifests/$rest.json" ] && [ -f "$at/sealed/$rest.json" ] && [ -f "$at/signatures/$rest.json" ] &&
      [ -d "$at/releases/$rest" ] && say release "$name $rest" ;;
  sum)
    printf '%s  %s\\n' "$name" "$root/$rest" | sha256sum -c --status 2>/dev/null || say bad "$rest" ;;
  esac
done
pid=$(systemctl show -p MainPID --value "$agent")
if [ "\${pid:-0}" != 0 ]; then
  started=$(date -d "$(TZ=UTC systemctl show -p ExecMainStartTimestamp --value "$agent")" +%s)
  for each in "$config" "$unit" "$root"/fleet-agent/current "$root"/fleet-node/current; do
    [ "$(stat -c %Z "$each" 2>/dev/null || echo 0)" -gt "$started" ] && say stale "$each"
  done
  groups() { tr ' ' '\\n' | sort -n | tr '\\n' ' '; }
  [ "$(sed -n 's/^Groups:[[:space:]]*//p' "/proc/$pid/status" | sed 's/ *$//' | groups)" = "$(id -G fleet | groups)" ] || say stale groups
fi
command -v sudo >/dev/null && say has sudo
{ ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q 'libstdc++\\.so\\.6' && say has libstdc++
for part in joined.json ca.pem agent.pem; do
  [ -f "$data/trust/$part" ] && say trust "$part $(base64 -w 0 <"$data/trust/$part")"
done
[ -f /etc/fleet/made ] && while read -r line; do say made "$line"; done </etc/fleet/made
exit 0
`;

/** Throws `ssh_lost`, `act_failed`. */
export async function takeInventory(root: Root, questions: Questions): Promise<Inventory> {
  const lines = [
    ...questions.users.map((each) => `user ${each}`),
    ...questions.groups.map((each) => `group ${each}`),
    ...questions.packages.map((each) => `package ${each}`),
    ...questions.files.map((each) => `file ${each}`),
    ...questions.directories.map((each) => `directory ${each}`),
    ...questions.units.map((each) => `unit ${each}`),
    ...questions.programs.flatMap(({ service, version, main, files }) => [
      `current ${service} ${main}`,
      `release ${service} ${version}`,
      ...files.map(({ path, sha256 }) => `sum ${sha256} ${service}/releases/${version}/${path}`),
    ]),
  ];
  const { code, stdout, stderr } = await root.run(SCRIPT, {
    args: [questions.root, questions.data, AGENT_UNIT, PLACES.config, `${PLACES.units}/${AGENT_UNIT}`],
    stdin: `${lines.join('\n')}\n`,
    timeoutMs: 120_000,
  });
  if (code === 0) return parseInventory(stdout);
  throw new FleetError('act_failed', `${root.host} could not be looked at: ${stderr.trim()}`, {
    data: { host: root.host },
  });
}

export function parseInventory(stdout: string): Inventory {
  const found: Inventory = {
    users: new Map(),
    groups: new Set(),
    packages: new Set(),
    files: new Map(),
    directories: new Map(),
    units: new Map(),
    reload: false,
    stale: false,
    programs: new Map(),
    libstdcpp: false,
    sudo: false,
    joined: undefined,
    made: [],
  };
  const trust = new Map<string, string>();
  const bad: string[] = [];
  const program = (service: string): Installed => {
    const known = found.programs.get(service) ?? { current: undefined, whole: new Set(), runs: false };
    found.programs.set(service, known);
    return known;
  };
  for (const line of stdout.split('\n')) {
    const tab = line.indexOf('\t');
    const [key, value] = [line.slice(0, tab), line.slice(tab + 1)];
    const [first = '', ...rest] = value.split(' ');
    if (key === 'user') {
      const [name = '', , , , , home = '', shell = ''] = value.split(':');
      found.users.set(name, { shell, home, groups: [] });
    } else if (key === 'member') found.users.get(first)?.groups.push(...rest);
    else if (key === 'group') found.groups.add(first);
    else if (key === 'package') found.packages.add(first);
    else if (key === 'file') {
      const [owner = '', group = '', sha256 = '', ...path] = rest;
      found.files.set(path.join(' '), { mode: first.padStart(4, '0'), owner, group, sha256 });
    } else if (key === 'directory') {
      const [owner = '', group = '', ...path] = rest;
      found.directories.set(path.join(' '), { mode: first.padStart(4, '0'), owner, group });
    } else if (key === 'unit') {
      const [enabled, active, name = ''] = value.split(':');
      found.units.set(name, { enabled: enabled === 'enabled', active: active === 'active' });
    } else if (key === 'reload') found.reload = true;
    else if (key === 'stale') found.stale = true;
    else if (key === 'current') program(first).current = rest[0];
    else if (key === 'runs') program(first).runs = true;
    else if (key === 'release') program(first).whole.add(rest[0] ?? '');
    else if (key === 'bad') bad.push(value);
    else if (key === 'has' && first === 'sudo') found.sudo = true;
    else if (key === 'has') found.libstdcpp = true;
    else if (key === 'trust') trust.set(first, Buffer.from(rest[0] ?? '', 'base64').toString('utf8'));
    else if (key === 'made') found.made.push(value);
  }
  for (const path of bad) {
    const [service = '', , version = ''] = path.split('/');
    found.programs.get(service)?.whole.delete(version);
  }
  found.joined = joinedOf(trust);
  return found;
}

/** Undefined where a part is missing or damaged: such a host has to join anew. */
function joinedOf(trust: ReadonlyMap<string, string>): JoinedHost | undefined {
  try {
    const { host, url } = JSON.parse(trust.get('joined.json') ?? '') as Record<string, string>;
    const idOf = (name: string) => keyIdOf(new X509Certificate(trust.get(name) ?? '').publicKey);
    return { host: String(host), url: String(url), ca: idOf('ca.pem'), key: idOf('agent.pem') };
  } catch {
    return undefined;
  }
}
