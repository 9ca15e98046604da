/** What `fleet hosts add` and `fleet hosts clean` are told, and their help. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FleetError } from '@fleet/protocol/errors.ts';
import { hostName } from '@fleet/protocol/words.ts';

const SSH = `      --user NAME        who logs in: root, or somebody who may use sudo (default: the profile's, else root)
      --port NUMBER      of the hosts' sshd (default: the profile's, else 22)
      --key FILE         log in with this key; else with SSH_AUTH_SOCK's agent, else a password is asked for
      --ask-sudo         ask for the password that sudo wants
      --known-hosts FILE host keys that are known (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)
      --fingerprint NAME=SHA256:…  the host's key, as ssh-keygen -l shows it on the host; may be repeated`;

export const ADD_HELP = `Usage: fleet hosts add -p PROFILE NAME[=ADDRESS]... [-P] [--dry-run]

Makes machines hosts of this fleet, over SSH: what the profile of controller.yaml says, Node and the agent, a user and a unit
for it, and it joins with a token made for it. Run again, it puts right what differs, and says what that was. A host key that
nobody here knows is shown, and has to be typed back; no key is taken on trust. The controller sees nothing of the login.

  -p, --profile NAME     what the hosts become: fleet config schema controller.yaml has the form
  -P, --parallel         up to eight hosts at the same time
      --dry-run          say every act, and do none
      --url URL          where the hosts reach the controller (default: the profile's, else where you do)
      --hooks            run the profile's hooks on this machine without asking
${SSH}
      --controller URL   the controller’s address (default: FLEET_CONTROLLER, else that of \`fleet login\`)
      --json             print the outcome as one JSON document; progress goes to stderr
  -h, --help             this text

Examples:
  $ fleet hosts add -p web web-1=10.0.0.11 --dry-run
  $ fleet hosts add -p web web-1=10.0.0.11 web-2=10.0.0.12 web-3=10.0.0.13 -P
  $ fleet hosts add -p web web-1 --user deploy --ask-sudo --fingerprint web-1=SHA256:…

Exit status: 0 every host is as it should be, 1 one is not, 2 wrong use, 3 refused and nothing changed, 4 the controller does not
answer, 130 stopped`;

export const CLEAN_HELP = `Usage: fleet hosts clean NAME[=ADDRESS]... [-P] [--dry-run]

Takes off a machine what \`fleet hosts add\` has put there: services and their units, the agent, its key, releases, rules of sudo, and the
users that fleet has made. Packages and the profile's own files stay. First: fleet hosts remove NAME.

  -P, --parallel         up to eight hosts at the same time
      --dry-run          say every act, and do none
      --with-data        also what services keep beside their releases (SERVICE/shared), which stays otherwise
      --anyway           also where the controller still has it as a host, or cannot be asked
${SSH}
      --controller URL   the controller’s address (default: FLEET_CONTROLLER, else that of \`fleet login\`)
      --json             print the outcome as one JSON document; progress goes to stderr
  -h, --help             this text

Examples:
  $ fleet hosts clean web-1=10.0.0.11 --dry-run
  $ fleet hosts clean web-1=10.0.0.11

Exit status: 0 nothing of fleet is on them, 1 something is, 2 wrong use, 3 refused, 130 stopped`;

const text = { type: 'string' } as const;
const yes = { type: 'boolean', default: false } as const;
const OPTIONS = {
  parallel: { ...yes, short: 'P' },
  'dry-run': yes,
  user: text,
  port: text,
  key: text,
  'ask-sudo': yes,
  'known-hosts': text,
  fingerprint: { type: 'string', multiple: true, default: [] as string[] },
  controller: text,
  json: yes,
  help: { ...yes, short: 'h' },
  // Of add.
  profile: { ...text, short: 'p' },
  url: text,
  hooks: yes,
  // Of clean.
  anyway: yes,
  'with-data': yes,
} as const;
const ONLY = { add: ['anyway', 'with-data'], clean: ['profile', 'url', 'hooks'] } as const;

export type Flags = ReturnType<typeof readFlags>;
export interface Named {
  host: string;
  address: string;
}

/** Throws `bad_request`. */
export function readFlags(verb: 'add' | 'clean', argv: string[]) {
  const { values, positionals } = parsed(verb, argv);
  for (const foreign of ONLY[verb])
    if (argv.some((word) => word === `--${foreign}` || word.startsWith(`--${foreign}=`)))
      throw wrongUse(verb, `--${foreign} is no option of fleet hosts ${verb}`);
  const hosts = values.help ? [] : positionals.map((word) => hostOf(verb, word));
  if (!values.help && hosts.length === 0) throw wrongUse(verb, 'name a host, like web-1=10.0.0.11');
  const twice = hosts.find(({ host }, index) => hosts.findIndex((each) => each.host === host) !== index);
  if (twice !== undefined) throw wrongUse(verb, `${twice.host} is named twice`);
  if (verb === 'add' && !values.help && values.profile === undefined)
    throw wrongUse(verb, 'say what they become: -p PROFILE');
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw wrongUse(verb, `--port ${values.port} is no port`);
  return { ...values, hosts, port, fingerprints: fingerprintsOf(verb, values.fingerprint, hosts) };
}

export function knownHostsFiles(
  { 'known-hosts': given }: Pick<Flags, 'known-hosts'>,
  home = homedir(),
): string[] {
  return given === undefined ? [join(home, '.ssh/known_hosts'), '/etc/ssh/ssh_known_hosts'] : [given];
}

function hostOf(verb: string, word: string): Named {
  const at = word.indexOf('=');
  const [name, address] = at < 0 ? [word, word] : [word.slice(0, at), word.slice(at + 1)];
  const host = hostName.safeParse(name);
  if (!host.success) throw wrongUse(verb, `${name}: ${host.error.issues[0]?.message}`);
  // Neither an option of a program nor anything that a shell reads.
  if (!/^[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}$/.test(address))
    throw wrongUse(verb, `${address} is no address: write it like ${name}=10.0.0.11`);
  return { host: host.data, address };
}

function fingerprintsOf(
  verb: string,
  given: readonly string[],
  hosts: readonly Named[],
): Map<string, string> {
  return new Map(
    given.map((each) => {
      const [, host = '', print = ''] = /^([^=]+)=(SHA256:[A-Za-z0-9+/]{43})=?$/.exec(each) ?? [];
      if (hosts.some((named) => named.host === host)) return [host, print];
      throw wrongUse(
        verb,
        `--fingerprint ${each} is not of the form NAME=SHA256:…, with the name of a host that is given`,
      );
    }),
  );
}

function parsed(verb: string, argv: string[]) {
  try {
    return parseArgs({ args: argv, allowPositionals: true, options: OPTIONS });
  } catch (cause) {
    throw wrongUse(verb, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function wrongUse(verb: string, message: string, cause?: unknown): FleetError {
  return new FleetError('bad_request', message, { next: `fleet hosts ${verb} --help`, cause });
}
