/** What kind of machine a host is, and whether fleet can be on it: asked before anything of it is changed. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Root } from './root.ts';

export interface Survey {
  os: string;
  version: string;
  /** Its package manager is apt. */
  apt: boolean;
  /** As `uname -m` says it. */
  machine: string;
  /** As getconf says it, like `glibc 2.36`. */
  libc: string;
  /** What process 1 is. */
  init: string;
  /** Bytes that are free where /srv, /var and /usr are. */
  free: Record<string, number>;
  /** How far its clock is ahead of the controller's, in milliseconds. */
  aheadMs: number;
  /** By port: undefined where it is open, else why not. */
  ports: Record<string, string | undefined>;
}

/** Where the host has to get through to. */
export interface Controller {
  url: string;
  agentsPort: number;
  /** Milliseconds that the controller's clock is ahead of this machine's. */
  aheadMs: number;
}

const SCRIPT = `
say() { printf '%s\\t%s\\n' "$1" "$2"; }
field() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d '"' | head -n 1; }
say os "$(field ID)"
say version "$(field VERSION_ID)"
command -v apt-get >/dev/null && say apt yes
say machine "$(uname -m)"
say libc "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
[ -d /run/systemd/system ] && say init systemd || say init "$(cat /proc/1/comm)"
for place in /srv /var /usr; do
  at=$place
  [ -d "$at" ] || at=/
  say free "$place $(df -Pk "$at" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)"
done
connect() {
  if command -v bash >/dev/null; then timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1
  else timeout 5 perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1]) or die "$!\\n"' "$1" "$2" 2>&1
  fi
}
host=$1
shift
for port in "$@"; do
  why=$(connect "$host" "$port") && say port "$port open" || {
    [ $? -eq 124 ] && why='no answer within 5 s'
    say port "$port $(printf '%s' "$why" | tail -n 1 | sed 's/.*: //')"
  }
done
say clock "$(date +%s)"
`;

/** Certificates that hold for days are told apart wrongly beyond this; joining asks the same. */
const CLOCKS_MS = 5 * 60_000;
const GLIBC = [2, 28] as const;
const MB = 1_000_000;
/** What lies there of fleet: two releases of Node and agent; journal, packages; scripts. */
const NEEDED: Record<string, number> = { '/srv': 450 * MB, '/var': 80 * MB, '/usr': 5 * MB };

/** Throws `ssh_lost`, `act_failed`. `now`: milliseconds since 1970 by this machine's clock. */
export async function surveyHost(root: Root, controller: Controller, now: () => number): Promise<Survey> {
  const { hostname, port } = new URL(controller.url);
  const args = [hostname.replace(/^\[(.*)\]$/, '$1'), port || '443', String(controller.agentsPort)];
  const { code, stdout, stderr } = await root.run(SCRIPT, { args, timeoutMs: 60_000 });
  // It is read last on the host: what it took to answer is not held against the clock.
  const here = now() + controller.aheadMs;
  if (code !== 0)
    throw new FleetError('act_failed', `${root.host} could not be looked at: ${stderr.trim()}`, {
      data: { host: root.host },
    });
  return parseSurvey(stdout, here);
}

export function parseSurvey(stdout: string, here: number): Survey {
  const survey: Survey = {
    ...{ os: '', version: '', apt: false, machine: '', libc: '', init: '' },
    ...{ free: {}, aheadMs: 0, ports: {} },
  };
  for (const line of stdout.split('\n')) {
    const [key = '', value = ''] = line.split('\t');
    const [first = '', ...rest] = value.split(' ');
    if (key === 'os' || key === 'version' || key === 'machine' || key === 'libc' || key === 'init')
      survey[key] = value;
    if (key === 'apt') survey.apt = true;
    if (key === 'free') survey.free[first] = Number(rest[0]) * 1024;
    if (key === 'port') survey.ports[first] = rest.join(' ') === 'open' ? undefined : rest.join(' ');
    if (key === 'clock') survey.aheadMs = Number(value) * 1000 - here;
  }
  return survey;
}

/** `linux-x64` or `linux-arm64`. Throws `unfit_host`. */
export function platformOf(host: string, { machine }: Survey): string {
  const arch = { x86_64: 'x64', aarch64: 'arm64' }[machine];
  if (arch !== undefined) return `linux-${arch}`;
  throw unfit(
    host,
    `is a ${machine}, and fleet runs on x86_64 and aarch64`,
    'take a machine of one of these',
  );
}

/** Throws `unfit_host`, `disk_full`, `clock_off`, `controller_unreachable`: the first that is wrong, as a person would mend it. */
export function requireFit(host: string, survey: Survey, { url }: Pick<Controller, 'url'>): void {
  platformOf(host, survey);
  const { init, libc, free, aheadMs, ports, os, version } = survey;
  if (init !== 'systemd')
    throw unfit(
      host,
      `has no systemd (process 1 is ${init || 'not known'}), which looks after the agent and its services`,
      'boot it with systemd; or, on such a machine, run the agent by hand: fleet token create, fleet agent join, fleet agent',
    );
  const [, major = '0', minor = '0'] = /^glibc (\d+)\.(\d+)/.exec(libc) ?? [];
  if (Number(major) * 1000 + Number(minor) < GLIBC[0] * 1000 + GLIBC[1])
    throw unfit(
      host,
      `has ${libc || 'no glibc'}, and Node needs glibc ${GLIBC.join('.')}: ${os} ${version} is too old for it`,
      'take Debian 10, Ubuntu 20.04 or later',
    );
  for (const [place, needed] of Object.entries(NEEDED)) {
    const there = free[place] ?? 0;
    if (there < needed)
      throw new FleetError(
        'disk_full',
        `${host} has ${megabytes(there)} free at ${place}, and fleet needs ${megabytes(needed)} there`,
        { next: `make room on ${host}: df -h ${place}; du -xsh ${place}/*`, data: { host } },
      );
  }
  if (Math.abs(aheadMs) > CLOCKS_MS)
    throw new FleetError(
      'clock_off',
      `the clock of ${host} is ${minutes(aheadMs)} ${aheadMs > 0 ? 'ahead of' : 'behind'} the controller’s: certificates would not hold`,
      {
        next: `set it right on ${host}: timedatectl set-ntp true; timedatectl timesync-status (or chronyc makestep)`,
        data: { host },
      },
    );
  const closed = Object.entries(ports).find(([, why]) => why !== undefined);
  if (closed !== undefined)
    throw new FleetError(
      'controller_unreachable',
      `${host} cannot reach the controller at ${new URL(url).hostname}, port ${closed[0]}: ${closed[1]}`,
      {
        next: `let it through (fleet’s hosts need ${Object.keys(ports).join(' and ')}), or name another address with --url`,
        data: { host },
      },
    );
}

function unfit(host: string, why: string, next: string): FleetError {
  return new FleetError('unfit_host', `${host} ${why}`, { next, data: { host } });
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MB)} MB`;
}

function minutes(ms: number): string {
  return `${Math.round(Math.abs(ms) / 60_000)} min`;
}
