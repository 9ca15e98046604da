/** What can be done to a host. Each act says itself in one line, which is what `--dry-run` prints, and is done by one script. */
import type { ProfileShown } from '@fleet/protocol/api/profiles.ts';
import { quoted } from './connection.ts';
import type { ProgramFiles } from './programs.ts';

export type Kind =
  | 'hook'
  | 'package'
  | 'directory'
  | 'user'
  | 'file'
  | 'step'
  | 'program'
  | 'join'
  | 'unit'
  | 'agent'
  | 'connected';

export interface Act {
  kind: Kind;
  /** What it does, in words. */
  says: string;
  do: Do;
}
export type Do = ByRoot | ByOperator | { by: 'program'; program: ProgramFiles; root: string } | Join | Wait;

/** A script of sh, with its arguments as $1 and so on. */
export interface ByRoot {
  by: 'root';
  script: string;
  args: readonly string[];
  stdin?: Buffer;
  timeoutMs?: number;
}
export interface ByOperator {
  by: 'operator';
  hook: ProfileShown['hooks'][number];
}
/** `again`: it has joined before, and that is good for nothing any more. */
export interface Join {
  by: 'join';
  again: boolean;
  script: string;
  args: readonly string[];
}
/** Until the controller says that the host's agent is connected. */
export interface Wait {
  by: 'wait';
}

/** What a script ends with that found nothing to do. */
export const HELD = 90;

const byRoot = (
  kind: Kind,
  says: string,
  script: string,
  args: string[] = [],
  more: Partial<ByRoot> = {},
): Act => ({
  kind,
  says,
  do: { by: 'root', script: `set -eu\n${script}`, args, ...more },
});

export function installPackages(packages: readonly string[]): Act {
  const script = `export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold -- "$@"`;
  return byRoot('package', `install ${packages.join(', ')}`, script, [...packages], {
    timeoutMs: 15 * 60_000,
  });
}

export interface NewUser {
  name: string;
  home: string;
  /** Made where there is none. */
  makeHome: boolean;
}

/** Noted in /etc/fleet/made, so that what takes fleet off again takes no more than it made. */
export function makeUser({ name, home, makeHome }: NewUser): Act {
  const script = `name=$1 home=$2 make=$3
if getent group "$name" >/dev/null; then own="--gid $name"; else own=--user-group; fi
useradd --system $own --home-dir "$home" "$make" --shell /usr/sbin/nologin -- "$name"
echo "user $name" >>/etc/fleet/made`;
  return byRoot('user', `make the user ${name}, without a shell`, script, [
    name,
    home,
    makeHome ? '--create-home' : '--no-create-home',
  ]);
}

export function addToGroups(user: string, groups: readonly string[]): Act {
  return byRoot('user', `add ${user} to ${groups.join(', ')}`, 'usermod --append --groups "$2" -- "$1"', [
    user,
    groups.join(','),
  ]);
}

export interface Place {
  path: string;
  mode: string;
  owner: string;
  group: string;
}

export function makeDirectory({ path, mode, owner, group }: Place): Act {
  return byRoot(
    'directory',
    `${path}, ${owner}:${group} ${mode}`,
    'install --directory --no-target-directory --owner="$3" --group="$4" --mode="$2" -- "$1"',
    [path, mode, owner, group],
  );
}

export interface NewFile extends Place {
  content: Buffer;
  sha256: string;
  /** A program that has to find the file well before it counts. */
  check?: string[];
}

/** Beside its place, compared, checked, and only then moved there. */
export function writeFile(
  { path, mode, owner, group, content, sha256, check = [] }: NewFile,
  there: boolean,
): Act {
  const script = `path=$1 mode=$2 owner=$3 group=$4 sha256=$5
shift 5
folder=$(dirname "$path")
mkdir -p "$folder"
new=$(mktemp "$folder/.fleet-XXXXXXXX")
trap 'rm -f "$new"' EXIT
cat >"$new"
[ "$(sha256sum <"$new" | cut -c 1-64)" = "$sha256" ] || { echo "$path did not arrive whole" >&2; exit 1; }
[ $# -eq 0 ] || "$@" "$new" >&2
chown "$owner:$group" "$new"
chmod "$mode" "$new"
sync "$new"
mv -fT "$new" "$path"`;
  return byRoot(
    'file',
    `${there ? 'change' : 'write'} ${path}, ${owner}:${group} ${mode}, ${content.length} bytes`,
    script,
    [path, mode, owner, group, sha256, ...check],
    { stdin: content },
  );
}

/** Right content, other rights. */
export function setRights({ path, mode, owner, group }: Place): Act {
  return byRoot('file', `${path}: ${owner}:${group} ${mode}`, 'chown "$3:$4" "$1"\nchmod "$2" "$1"', [
    path,
    mode,
    owner,
    group,
  ]);
}

export function runStep({ name, command, unless, timeout }: ProfileShown['steps'][number]): Act {
  const limited = `timeout -k 5 ${Math.ceil(timeout / 1000)}`;
  const before = unless ? `if ${limited} ${line(unless)} >/dev/null 2>&1; then exit ${HELD}; fi\n` : '';
  return byRoot(
    'step',
    `${name}: ${line(command)}${unless ? `, unless ${line(unless)}` : ''}`,
    `${before}exec ${limited} ${line(command)}`,
    [],
    { timeoutMs: 2 * timeout + 30_000 },
  );
}

export function runHook(hook: ProfileShown['hooks'][number]): Act {
  const { name, command, unless } = hook;
  return {
    kind: 'hook',
    says: `${name}, on this machine: ${line(command)}${unless ? `, unless ${line(unless)}` : ''}`,
    do: { by: 'operator', hook },
  };
}

export function putProgram(program: ProgramFiles, root: string): Act {
  const { service, version } = program;
  return {
    kind: 'program',
    says: `put ${service} ${version} in place`,
    do: { by: 'program', program, root },
  };
}

/** As the agent does it: a link renamed over a link. */
export function switchTo({ service, version }: ProgramFiles, root: string): Act {
  const script = `exec runuser -u fleet -- sh -c '
    set -eu
    cd "$1/$2"
    ln -sfn "releases/$3" .current-fleet
    mv -fT .current-fleet current
    printf "[\\"%s\\"]" "$3" >activations.json
    sync .
  ' sh "$@"`;
  return byRoot('program', `current of ${service} is ${version}`, script, [root, service, version]);
}

export function joinFleet(host: string, root: string, config: string, again: boolean): Act {
  const script = `set -eu
[ "$3" = no ] || systemctl stop fleet-agent.service 2>/dev/null || true
again=; [ "$3" = no ] || again=--again
exec runuser -u fleet -- "$1/fleet-node/current/bin/node" "$1/fleet-agent/current/agent.js" join --config "$2" $again`;
  return {
    kind: 'join',
    says: `join as ${host}, with a token made for it${again ? ', and a new key' : ''}`,
    do: { by: 'join', again, script, args: [root, config, again ? 'yes' : 'no'] },
  };
}

export function reloadUnits(): Act {
  return byRoot('unit', 'let systemd read its units anew', 'systemctl daemon-reload');
}

export function reloadSupervisord(): Act {
  return byRoot(
    'unit',
    'let supervisord read its programs anew',
    'supervisorctl reread >&2 && supervisorctl update >&2',
  );
}

export function enableUnit(unit: string): Act {
  return byRoot('unit', `enable ${unit}`, 'systemctl enable --quiet -- "$1"', [unit]);
}

export function startAgent(how: 'start' | 'restart', unit: string): Act {
  return byRoot(
    'agent',
    `${how} ${unit}`,
    `systemctl "$1" -- "$2" || { systemctl status --no-pager --lines=20 -- "$2" >&2; exit 1; }`,
    [how, unit],
    { timeoutMs: 120_000 },
  );
}

export function waitConnected(host: string): Act {
  return { kind: 'connected', says: `the controller sees ${host} connected`, do: { by: 'wait' } };
}

/** As a shell reads it, and people too. */
function line(argv: readonly string[]): string {
  return argv.map(quoted).join(' ');
}
