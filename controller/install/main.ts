/** `fleet controller install`: puts the controller on the machine that it is run on, as a unit of systemd with a user of its own. */
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BUILD_USER } from '@fleet/artifact/build/buildUser.ts';
import { template } from '@fleet/config/template.ts';
import { findSudo } from '@fleet/process/sudo.ts';
import { findSetpriv } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { personName } from '@fleet/protocol/words.ts';
import { clientOptions } from '@fleet/trust/tls.ts';
import { CONTROLLER_UNIT } from '@fleet/units/controllerUnit.ts';
import { listenAddress } from '../listenAddress.ts';
import { TRUST_FILES, trustFolder } from '../trust/folder.ts';
import { type Act, perform } from './acts.ts';
import { builderOf, type Facts, gather } from './facts.ts';
import { BACKUPS, COMMAND, CONFIG, DATA, PROGRAMS, USER } from './places.ts';
import { plan, planRemoval } from './plan.ts';
import { sourceOf } from './program.ts';

const HELP = `Usage: fleet controller install [--config FILE] [--listen ADDRESS:PORT] [--login NAME] [--dry-run]
       fleet controller install --uninstall [--dry-run]

Puts the controller on this machine, as root: the user ${USER}, its program below ${PROGRAMS}, its data in
${DATA}, a unit of systemd that is closed off, the user ${BUILD_USER} for builds with a rule of sudo for that alone,
and, the first time, controller.yaml and the keys of a fleet.
It does only what is not so already: again after a new bundle was unpacked, it puts that one in place.

  -c, --config FILE   the controller’s configuration (default: ${CONFIG})
      --listen WHERE  in a configuration that it writes (default: 0.0.0.0:7300)
      --login NAME    the first admin, as the history calls them (default: who ran sudo)
      --dry-run       print what would be done, and do nothing
      --uninstall     take unit, program, and ${BUILD_USER} with its rule away; configuration, keys and data stay
  -h, --help          this text

Examples:
  $ sudo ./fleet controller install --dry-run
  $ sudo ./fleet controller install
  $ sudo fleet controller install --uninstall

Exit status: 0 it is so, 1 an act failed, or the controller does not answer, 2 wrong use or configuration
`;

const ANSWERS_WITHIN_MS = 60_000;

/** Throws `bad_request`, `bad_config`, `install_failed`. */
export async function main(argv: string[]): Promise<void> {
  const flags = readFlags(argv);
  if (flags.help) return say(HELP.trimEnd());
  requireRights();
  const file = resolve(flags.config);
  const facts = await gather(file);
  if (facts.config?.development)
    throw new FleetError('bad_config', `${file} says development, which is for trying things out`, {
      next: 'take `development: true` out of it, or name another file with --config',
    });
  const acts = flags.uninstall ? planRemoval(facts) : await actsFor(facts, file, flags);
  if (!flags.uninstall) requireSudo(facts);
  if (flags['dry-run']) return sayPlan(acts);
  await performAll(acts);
  if (flags.uninstall) return sayRemoved(facts);
  const { config } = await gather(file);
  await untilAnswers(config!.data, config!.listen);
  sayNext(file, config!.listen, facts);
}

function requireRights(): void {
  if (userInfo().uid !== 0)
    throw new FleetError('bad_request', 'installing the controller needs root', {
      next: 'sudo fleet controller install',
    });
  if (!existsSync('/run/systemd/system'))
    throw new FleetError('bad_request', 'no systemd runs here, which would look after the controller', {
      next: 'fleet controller runs it in the foreground, below whatever looks after programs here',
    });
}

/** By which builds get a user of their own. */
function requireSudo({ config }: Facts): void {
  if (builderOf(config) === USER || (findSudo() !== undefined && findSetpriv() !== undefined)) return;
  throw new FleetError(
    'bad_request',
    'this machine has no sudo, by which builds run as a user of their own',
    {
      next: 'apt-get install sudo, or dnf install sudo; then the same command again',
    },
  );
}

type Flags = ReturnType<typeof readFlags>;

async function actsFor(facts: Facts, file: string, { listen, login }: Flags): Promise<Act[]> {
  const user = process.env.SUDO_USER || 'root';
  const name = personName.safeParse(login ?? user);
  if (!name.success) throw wrongUse(`${login ?? user}: ${name.error.issues[0]?.message}`);
  const text = (await template('controller.yaml'))
    .replace(/^#listen: .*$/m, `listen: ${listen}`)
    .replace(/^#data: .*$/m, `data: ${DATA}`)
    // Beside it lies the root key, and nothing to build.
    .replace(/^( +)directory: \.$/m, '$1git: git@example.com:team/my-service.git');
  const source = await sourceOf(process.argv[1] ?? '', process.execPath);
  return plan(facts, { file, template: text, source, operator: { name: name.data, user } });
}

function sayPlan(acts: readonly Act[]): void {
  for (const { says } of acts) say(`would ${says}`);
  say(acts.length === 0 ? 'nothing to do: all of it is so already' : 'nothing was done: --dry-run');
}

async function performAll(acts: readonly Act[]): Promise<void> {
  for (const act of acts) {
    const told = await perform(act);
    say(act.says);
    if (told.trim() !== '') say(`  ${told.trim()}`);
  }
  if (acts.length === 0) say('nothing to do: all of it is so already');
}

/** Throws `install_failed` with the end of its log. */
async function untilAnswers(data: string, listen: string): Promise<void> {
  const { host, port } = listenAddress(listen);
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const end = performance.now() + ANSWERS_WITHIN_MS;
  while (!(await answers(here, port, join(trustFolder(data), TRUST_FILES.ca)))) {
    const state = await perform({
      says: `ask ${CONTROLLER_UNIT}`,
      script: 'systemctl is-active "$1" || :',
      args: [CONTROLLER_UNIT],
    });
    if (performance.now() < end && state.trim() !== 'failed') {
      await sleep(200);
      continue;
    }
    const output = await perform({
      says: 'read its log',
      script: 'journalctl --no-pager -o cat -n 20 -u "$1" || :',
      args: [CONTROLLER_UNIT],
    });
    throw new FleetError('install_failed', `the controller does not answer at ${here}:${port}`, {
      next: `journalctl -u ${CONTROLLER_UNIT}; then the same command again`,
      data: { output },
    });
  }
  say(`the controller answers at https://${here}:${port}`);
}

function answers(host: string, port: number, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { host, port, path: '/', agent: false, timeout: 5000 };
    const asking = request({ ...options, ...clientOptions({ ca: readFileSync(ca, 'utf8') }) });
    asking.on('response', () => resolve(true));
    asking.on('timeout', () => asking.destroy());
    asking.on('close', () => resolve(false));
    asking.on('error', () => resolve(false));
    asking.on('response', () => asking.destroy());
    asking.end();
  });
}

function sayNext(file: string, listen: string, before: Facts): void {
  say('');
  const builder = builderOf(before.config);
  if (builder === USER) {
    say(
      `Builds run as ${USER}, and can read what it can, its keys too. Build elsewhere and push what was signed there`,
    );
    say(
      '(fleet keys --help, level L1b), unless every repository and all that it installs is trusted as the fleet is.',
    );
  } else say(`Builds run as ${builder}, who can read neither the controller’s keys nor its data.`);
  if (!before.keys) {
    say(
      'Take the root key offline now: fleet-root.key, beside controller.yaml. The controller cannot read it.',
    );
  }
  say('next:');
  if (before.config === undefined) say(`  fill in ${file}, then: systemctl restart ${CONTROLLER_UNIT}`);
  say('  fleet status');
  if (!before.keys)
    say(
      `  fleet token create --url https://THIS-MACHINE:${listenAddress(listen).port}, for each host, or fleet hosts add`,
    );
  say(`  fleet backup ${BACKUPS}/today`);
}

function sayRemoved({ config, user }: Facts): void {
  say('what stays, and how to take it away for good, with all that fleet knows:');
  say(`  rm -r ${config?.data ?? DATA} ${BACKUPS} ${CONFIG}${user ? `; userdel ${USER}` : ''}`);
  say(`to have it back: fleet controller install, from its bundle; ${COMMAND} was a link into it`);
}

function readFlags(argv: string[]) {
  const no = { type: 'boolean', default: false } as const;
  const word = { type: 'string' } as const;
  try {
    return parseArgs({
      args: argv,
      options: {
        config: { ...word, short: 'c', default: CONFIG },
        listen: { ...word, default: '0.0.0.0:7300' },
        login: word,
        'dry-run': no,
        uninstall: no,
        help: { ...no, short: 'h' },
      },
    }).values;
  } catch (cause) {
    throw wrongUse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function wrongUse(message: string, cause?: unknown): FleetError {
  return new FleetError('bad_request', message, { next: 'fleet controller install --help', cause });
}
