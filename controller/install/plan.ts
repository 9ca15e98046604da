/** From what is there to what has to be done, in order: a pure function. What holds already is not among it. */
import { basename, dirname, join } from 'node:path';
import { BUILD_USER, roomsOf } from '@fleet/artifact/build/buildUser.ts';
import { BUILD_SUDOERS, buildSudoers } from '@fleet/units/buildSudoers.ts';
import { CONTROLLER_UNIT, controllerUnit } from '@fleet/units/controllerUnit.ts';
import { type Act, act } from './acts.ts';
import { builderOf, type Facts } from './facts.ts';
import { BACKUPS, COMMAND, DATA, PROGRAMS, UNIT_FILE, USER } from './places.ts';
import { commandOf, type Source } from './program.ts';

export interface Wanted {
  /** controller.yaml, absolute. */
  file: string;
  /** What is written where there is none. */
  template: string;
  source: Source;
  /** Who administers it from now on: the name of the first login, and the user of this machine whose it is. */
  operator: { name: string; user: string };
}

/** Beside `current`, the one before it. */
const KEPT = 2;

export function plan(facts: Facts, { file, template, source, operator }: Wanted): Act[] {
  const acts: Act[] = [];
  const data = facts.config?.data ?? DATA;
  if (!facts.user)
    acts.push(
      act(
        `make the user ${USER}, without a shell, at home in ${DATA}`,
        'useradd --system --user-group --home-dir "$2" --no-create-home --shell /usr/sbin/nologin -- "$1"',
        [USER, DATA],
      ),
    );
  for (const group of facts.socketGroups)
    acts.push(
      act(
        `add ${USER} to ${group}, whose the balancer’s socket is`,
        'usermod --append --groups "$2" -- "$1"',
        [USER, group],
      ),
    );
  if (facts.config === undefined)
    acts.push(
      act(
        `write ${file}, to be filled in`,
        'mkdir -p "$(dirname "$1")"\numask 022\nset -C\ncat >"$1"',
        [file],
        template,
      ),
    );
  acts.push(...putProgram(facts, source), ...setBuildsApart(facts, data));
  for (const [there, folder] of [
    [facts.owned || facts.keys, data],
    [facts.backups, BACKUPS],
  ] as const)
    if (!there)
      acts.push(
        act(
          `make ${folder}, for ${USER} alone`,
          'mkdir -p "$(dirname "$2")"\ninstall -d -m 0700 -o "$1" -g "$1" -- "$2"',
          [USER, folder],
        ),
      );
  if (!facts.keys) acts.push(makeKeys(file, commandOf(source), operator));
  if (!facts.keys || !facts.owned)
    acts.push(act(`give ${data} to ${USER}`, 'chown -R -h "$1:$1" -- "$2"\nchmod 0700 "$2"', [USER, data]));
  const unit = controllerUnit({
    command: [...commandOf(source), 'controller', '--config', file],
    user: USER,
    writes: [...new Set([DATA, data, BACKUPS, ...(buildsApart(facts) ? [roomsOf(data)] : [])])],
  });
  if (facts.unit !== unit)
    acts.push(
      act(
        `${facts.unit === undefined ? 'write' : 'change'} ${UNIT_FILE}`,
        'umask 022\ncat >"$1.new"\nmv -fT "$1.new" "$1"\nsystemctl daemon-reload',
        [UNIT_FILE],
        unit,
      ),
    );
  if (!facts.enabled) acts.push(systemctl('enable', 'at boot'));
  if (!facts.active) acts.push(systemctl('start', 'now'));
  else if (acts.length > 0) acts.push(systemctl('restart', 'with all this'));
  return acts;
}

function putProgram(facts: Facts, source: Source): Act[] {
  if (source.kind === 'checkout') return [];
  const { folder, release } = source;
  const name = basename(release);
  const acts: Act[] = [];
  if (!facts.releases.includes(name))
    acts.push(
      act(
        `put ${name} into ${PROGRAMS}`,
        `mkdir -p "$3"
rm -rf "$3/.coming"
cp -R --reflink=auto -- "$1" "$3/.coming"
chown -R -h root:root "$3/.coming"
chmod -R u=rwX,go=rX "$3/.coming"
sync "$3/.coming"
mv -T "$3/.coming" "$2"`,
        [folder, release, PROGRAMS],
      ),
    );
  if (facts.current !== name)
    acts.push(
      act(`current is ${name}`, 'ln -sfn "$1" "$2/.current"\nmv -fT "$2/.current" "$2/current"', [
        name,
        PROGRAMS,
      ]),
    );
  const command = join(PROGRAMS, 'current/fleet');
  if (facts.command === undefined)
    acts.push(act(`link ${COMMAND}`, 'mkdir -p "$(dirname "$2")"\nln -s "$1" "$2"', [command, COMMAND]));
  const others = facts.releases.filter((each) => each !== name && each !== facts.current);
  const old = facts.current === name ? others.slice(0, -(KEPT - 1)) : others;
  if (old.length > 0)
    acts.push(act(`remove ${old.join(', ')}`, 'cd "$1"\nshift\nrm -rf -- "$@"', [PROGRAMS, ...old]));
  return acts;
}

/** Not where controller.yaml says that the controller’s own user builds. */
const buildsApart = ({ config }: Facts) => builderOf(config) !== USER;

/** The user that builds run as, the folder that they work in, and the one rule of sudo by which the controller becomes that user. */
function setBuildsApart(facts: Facts, data: string): Act[] {
  if (!buildsApart(facts)) return removeRule(facts);
  const builder = builderOf(facts.config);
  const acts: Act[] = [];
  if (!facts.builder)
    acts.push(
      act(
        `make the user ${builder}, without a shell and a home, for builds`,
        'useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin -- "$1"',
        [builder],
      ),
    );
  const rooms = roomsOf(data);
  // The controller may go through it, to start what runs there; who else is on the machine may not.
  if (facts.rooms !== `${builder}:${USER} 710`)
    acts.push(
      act(
        `make ${rooms}, for builds`,
        'mkdir -p "$(dirname "$3")"\ninstall -d -m 0710 -o "$1" -g "$2" -- "$3"',
        [builder, USER, rooms],
      ),
    );
  const rule = buildSudoers(USER, builder);
  if (facts.rule !== rule)
    acts.push(
      act(
        `${facts.rule === undefined ? 'write' : 'change'} ${BUILD_SUDOERS}: ${USER} runs builds as ${builder}, and nothing as root`,
        // Sudo passes over names with a dot.
        `mkdir -p "$(dirname "$1")"
umask 337
rm -f "$1.new"
cat >"$1.new"
visudo -c -q -f "$1.new"
mv -fT "$1.new" "$1"
runuser -u "$2" -- sudo -n -u "$3" -- true`,
        [BUILD_SUDOERS, USER, builder],
        rule,
      ),
    );
  return acts;
}

/**
 * By root, before the data is handed over: the root key that is made beside controller.yaml is one that the controller can never
 * read. The login goes to whoever administers it, written as that user.
 */
function makeKeys(file: string, command: readonly string[], { name, user }: Wanted['operator']): Act {
  const script = `config=$1 name=$2 user=$3
shift 3
rm -f "$(dirname "$config")/.login"
FLEET_LOGIN="$(dirname "$config")/.login" "$@" init controller --config "$config" --login "$name" >&2
login=$(dirname "$config")/.login
own=$(getent passwd "$user" | cut -d: -f6)/.config/fleet/login.json
if [ -e "$own" ]; then
  echo "$own is a login that is there already, and stays; the new one: $login"
else
  runuser -u "$user" -- sh -c 'umask 077; mkdir -p "$(dirname "$1")"; cat >"$1"' sh "$own" <"$login"
  rm -f "$login"
  echo "$own"
fi`;
  return act(
    `make the fleet’s keys and ${join(dirname(file), 'fleet-root.key')}; log in ${user} as ${name}`,
    script,
    [file, name, user, ...command],
  );
}

function systemctl(verb: 'enable' | 'start' | 'restart', why: string): Act {
  return act(`${verb} ${CONTROLLER_UNIT} ${why}`, 'systemctl "$1" -- "$2"', [verb, CONTROLLER_UNIT]);
}

function removeRule({ rule }: Facts): Act[] {
  return rule === undefined ? [] : [act(`remove ${BUILD_SUDOERS}`, 'rm -f "$1"', [BUILD_SUDOERS])];
}

/** What was put there goes; configuration, keys and data stay. */
export function planRemoval(facts: Facts): Act[] {
  const acts: Act[] = [];
  if (facts.active || facts.enabled)
    acts.push(act(`stop ${CONTROLLER_UNIT} for good`, 'systemctl disable --now -- "$1"', [CONTROLLER_UNIT]));
  if (facts.unit !== undefined)
    acts.push(
      act(
        `remove ${UNIT_FILE}`,
        'rm -f "$1"\nsystemctl daemon-reload\nsystemctl reset-failed "$2" 2>/dev/null || :',
        [UNIT_FILE, CONTROLLER_UNIT],
      ),
    );
  acts.push(...removeRule(facts));
  if (facts.rooms !== undefined) {
    const rooms = roomsOf(facts.config?.data ?? DATA);
    acts.push(act(`remove ${rooms}`, 'rm -rf -- "$1"', [rooms]));
  }
  // One of another name is not fleet's to remove.
  if (facts.builder && builderOf(facts.config) === BUILD_USER)
    acts.push(act(`remove the user ${BUILD_USER}`, 'userdel -- "$1"', [BUILD_USER]));
  if (facts.command === join(PROGRAMS, 'current/fleet'))
    acts.push(act(`remove ${COMMAND}`, 'rm -f "$1"', [COMMAND]));
  if (facts.current !== undefined || facts.releases.length > 0)
    acts.push(act(`remove ${PROGRAMS}`, 'rm -rf "$1"', [PROGRAMS]));
  return acts;
}
