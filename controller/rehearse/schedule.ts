/** `--nightly`: a timer of systemd, and the service that it starts. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { loginPath } from '@fleet/trust/login.ts';
import { type Flags, wordsOf } from './flags.ts';

const UNITS = '/etc/systemd/system';

export interface Nightly {
  profile: string;
  /** HH:MM. */
  at: string;
  /** What is started, with its arguments. */
  argv: readonly string[];
  /** Whose login it is, and where that lies. */
  user: string;
  login: string;
  onFailure: string | undefined;
  /** Where the command's relative paths begin. */
  directory: string;
}

export const unitNamed = (profile: string) => `fleet-rehearse-${profile}`;

/** The text of both units. */
export function unitsFor({ profile, at, argv, user, login, onFailure, directory }: Nightly) {
  const service = `# By fleet rehearse ${profile} --nightly ${at}
[Unit]
Description=fleet: the profile ${profile}, tried from nothing
Wants=network-online.target
After=network-online.target
${onFailure === undefined ? '' : `OnFailure=${onFailure}\n`}
[Service]
Type=oneshot
User=${user}
WorkingDirectory=${directory.replaceAll('%', '%%')}
Environment=${word(`FLEET_LOGIN=${login}`)}
ExecStart=${argv.map(word).join(' ')}
TimeoutStartSec=4h
# The machine is given back before it ends.
KillMode=mixed
TimeoutStopSec=15min
`;
  const timer = `# By fleet rehearse ${profile} --nightly ${at}
[Unit]
Description=fleet: the profile ${profile}, tried from nothing every night

[Timer]
OnCalendar=*-*-* ${at}:00
Persistent=yes

[Install]
WantedBy=timers.target
`;
  return { service, timer };
}

/** One word of a command line, in systemd's own quoting. */
function word(text: string): string {
  if (/[\n\0]/.test(text)) throw new FleetError('bad_request', 'no line break can stand in a unit');
  const plain = text.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[A-Za-z0-9_./=:@,+-]+$/.test(text)
    ? plain
    : `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** Throws `bad_request` where it is not root, `install_failed`. */
export async function schedule(flags: Flags): Promise<void> {
  const { profile, nightly = '', print } = flags;
  const name = unitNamed(profile);
  const paths = { service: join(UNITS, `${name}.service`), timer: join(UNITS, `${name}.timer`) };
  if (nightly === 'off') return takeAway(name, paths);
  const user = process.env.SUDO_USER || userInfo().username;
  const units = unitsFor({
    profile,
    at: nightly,
    argv: [
      ...[process.execPath, process.argv[1] ?? '', 'rehearse', profile, '--on', flags.on],
      ...['--up-timeout', flags['up-timeout'], ...wordsOf(flags)],
    ],
    user,
    login: loginOf(user),
    onFailure: flags['on-failure'],
    directory: process.cwd(),
  });
  if (print) {
    for (const [kind, text] of Object.entries(units)) say(`# ${paths[kind as keyof typeof paths]}\n${text}`);
    return;
  }
  requireRoot(flags);
  for (const [kind, text] of Object.entries(units)) {
    writeFileSync(paths[kind as keyof typeof paths], text, { mode: 0o644 });
    say(`wrote ${paths[kind as keyof typeof paths]}`);
  }
  systemctl('daemon-reload');
  systemctl('enable', '--quiet', '--now', `${name}.timer`);
  // It may have been there with another time.
  systemctl('restart', `${name}.timer`);
  say(`${profile} is rehearsed every day at ${nightly}, as ${user}`);
  say('next:');
  say(`  systemctl start ${name}           one now; journalctl -u ${name} has what it says`);
  say(`  fleet rehearsals --profile ${profile}`);
}

function takeAway(name: string, paths: Record<'service' | 'timer', string>): void {
  if (!existsSync(paths.timer) && !existsSync(paths.service)) {
    say(`there is no ${name}.timer`);
    return;
  }
  requireRoot({ nightly: 'off' });
  systemctl('disable', '--quiet', '--now', `${name}.timer`);
  for (const path of Object.values(paths)) rmSync(path, { force: true });
  systemctl('daemon-reload');
  say(`removed ${Object.values(paths).join(' and ')}`);
}

/** Of whoever ran sudo, their own. */
function loginOf(user: string): string {
  if (!process.env.SUDO_USER || process.env.FLEET_LOGIN) return loginPath(process.env);
  const home = execFileSync('getent', ['passwd', user], { encoding: 'utf8' }).split(':')[5];
  return loginPath({ HOME: home });
}

function requireRoot({ nightly }: Pick<Flags, 'nightly'>): void {
  if (userInfo().uid === 0) return;
  throw new FleetError('bad_request', 'a timer of systemd is put there by root', {
    next: `sudo fleet rehearse PROFILE … --nightly ${nightly}; or --print, and put the two units there by hand`,
  });
}

function systemctl(...argv: string[]): void {
  try {
    execFileSync('systemctl', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (cause) {
    throw new FleetError('install_failed', `systemctl ${argv.join(' ')} failed`, {
      next: 'is systemd there, and are you root?',
      data: { output: cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : String(cause) },
      cause,
    });
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
