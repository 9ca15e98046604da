/** What `fleet rehearse` is told, and its help. */
import { parseArgs } from 'node:util';
import { FleetError } from '@fleet/protocol/errors.ts';
import { duration } from '@fleet/protocol/words.ts';

export const HELP = `Usage: fleet rehearse PROFILE --on COMMAND
       fleet rehearse PROFILE --on COMMAND --nightly HH:MM [--on-failure UNIT] [--print]
       fleet rehearse PROFILE --nightly off

Tries a profile from nothing: borrows a machine with \`COMMAND up NAME\`, makes it a host as \`fleet hosts add\` does, deploys every service of
its labels to it, smoke tests and all, looks at it as \`fleet doctor\` does, takes it off the fleet, and gives it back with \`COMMAND down NAME\`,
also after a failure and after Ctrl-C. Users never come to it: no balancer is told of it, no other deployment touches it, once steps
do not run, and nobody counts it. The controller keeps the report; what differs from the one before is printed.

COMMAND up prints on stdout, as JSON or in lines KEY=VALUE: address, host_key (TYPE KEY) or fingerprint (SHA256:…), and where
they are not root, 22 and --key: user, port, key_file. What it prints on stderr is shown.

      --on COMMAND       the team's own program, with arguments in one word: --on './throw-away --region x'
      --up-timeout TIME  for a machine to be lent, like 20m (default: 10m)
      --key FILE         log in with this key; else with SSH_AUTH_SOCK's agent
      --url URL          where the machine reaches the controller (default: the profile's, else where you do)
      --hooks            run the profile's hooks on this machine without asking
      --nightly HH:MM    every day at this time, by a timer of systemd; off takes it away
      --on-failure UNIT  a unit of systemd that is started when one has failed: the alarm
      --print            print the two units, and put them nowhere
      --controller URL   the controller’s address (default: FLEET_CONTROLLER, else that of \`fleet login\`)
      --json             print the report as one JSON document; progress goes to stderr
  -h, --help             this text

Examples:
  $ fleet rehearse web --on ./throw-away
  $ fleet rehearse web --on ./throw-away --nightly 03:00 --on-failure tell-the-team.service
  $ fleet rehearsals

Exit status: 0 all went well, 1 something failed, or the machine could not be given back, 2 wrong use, 3 refused, 4 the controller does not
answer, 130 stopped`;

export type Flags = ReturnType<typeof readFlags>;

/** Throws `bad_request`. */
export function readFlags(argv: string[]) {
  const { values, positionals } = parsed(argv);
  const [profile = '', ...more] = positionals;
  if (!values.help) {
    if (profile === '' || more.length > 0) throw wrongUse('name one profile, like web');
    const { on, nightly, print } = values;
    if (on === undefined && nightly !== 'off') throw wrongUse('say who lends a machine: --on COMMAND');
    if (nightly !== undefined && nightly !== 'off' && !/^([01]\d|2[0-3]):[0-5]\d$/.test(nightly))
      throw wrongUse(`--nightly ${nightly} is no time: write it like 03:00`);
    if (nightly === undefined && (print || values['on-failure'] !== undefined))
      throw wrongUse('--print and --on-failure go with --nightly');
    if (
      values['on-failure'] !== undefined &&
      !/^[A-Za-z0-9@_.:-]+\.(service|target)$/.test(values['on-failure'])
    )
      throw wrongUse(`--on-failure ${values['on-failure']} is no unit, like tell-the-team.service`);
  }
  const upMs = duration.safeParse(values['up-timeout']);
  if (!upMs.success) throw wrongUse(`--up-timeout ${values['up-timeout']}: write it like 20m`);
  return { ...values, profile, on: values.on ?? '', upMs: upMs.data };
}

/** Those that `fleet hosts add` has, too, as they were given. */
export function wordsOf({ key, url, hooks, controller }: Flags): string[] {
  return [
    ...(key === undefined ? [] : ['--key', key]),
    ...(url === undefined ? [] : ['--url', url]),
    ...(hooks ? ['--hooks'] : []),
    ...(controller === undefined ? [] : ['--controller', controller]),
  ];
}

function parsed(argv: string[]) {
  const word = { type: 'string' } as const;
  const yes = { type: 'boolean', default: false } as const;
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        on: word,
        'up-timeout': { ...word, default: '10m' },
        key: word,
        url: word,
        hooks: yes,
        nightly: word,
        'on-failure': word,
        print: yes,
        controller: word,
        json: yes,
        help: { ...yes, short: 'h' },
      },
    });
  } catch (cause) {
    throw wrongUse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

export function wrongUse(message: string, cause?: unknown): FleetError {
  return new FleetError('bad_request', message, { next: 'fleet rehearse --help', cause });
}
