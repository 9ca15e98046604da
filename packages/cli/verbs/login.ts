import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import type { Person } from '@fleet/protocol/api/people.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { bearerId } from '@fleet/trust/bearer.ts';
import { readJoinString } from '@fleet/trust/joinString.ts';
import { loginPath, writeLogin } from '@fleet/trust/login.ts';
import { meetAuthority } from '@fleet/trust/meet.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { createClient } from '../client.ts';
import { addExamples } from '../flags.ts';
import { formatMoment } from '../print/duration.ts';

export function define(command: Command, cli: Cli): void {
  command
    .argument('[string]', 'what `fleet people add` printed; without it, it is read from stdin')
    .action((given: string | undefined) => login(cli, given));
  addExamples(
    command,
    ['fleet login < login-string', "fleet login 'fleet1.…'"],
    `The string says where the controller is and how to know it: the token goes to nobody else. An argument can be read by every
user of this machine while the command runs; stdin cannot. The login is kept in FLEET_LOGIN, else in fleet/login.json in
XDG_CONFIG_HOME or ~/.config, readable by you alone. Programs such as CI can do without: FLEET_CONTROLLER, FLEET_TOKEN and
FLEET_CA, the file of the controller’s trust/ca.pem.

Exit status: 0 logged in, 2 no whole string, 3 the token is not good or another controller answers, 4 none answers`,
  );
}

async function login(cli: Cli, given: string | undefined): Promise<void> {
  const { url, token, ca: caKey, root } = readJoinString((given ?? (await fromStdin(cli))).trim());
  if (bearerId('fleet', token) === undefined)
    throw new FleetError('bad_request', 'this string is for a host that joins, not for a person', {
      next: 'on that host: fleet agent join; for yourself, ask for one of `fleet people add`',
    });
  const ca = await meetAuthority(url, caKey);
  const client = createClient({
    controller: url,
    credentials: { token, ca },
    by: hostname(),
    signal: cli.stopped,
  });
  const me = await client.call('people.me', {});
  writeLogin(loginPath(cli.environment), { url, token, ca, root });
  cli.out.print(`logged in at ${url} as ${describePerson(me)}`);
}

async function fromStdin(cli: Cli): Promise<string> {
  if (process.stdin.isTTY) cli.err.print('paste the login string, then press Enter and Ctrl-D:');
  return text(process.stdin);
}

export function describePerson({ name, role, services, environments, expires }: Person): string {
  const scope = [
    services && `services ${services.join(', ')}`,
    environments && `environments ${environments.join(', ')}`,
  ].filter(Boolean);
  const until = expires === null ? 'does not expire' : `until ${formatMoment(expires)}`;
  return `${name}: ${role}, ${scope.length === 0 ? 'everywhere' : scope.join('; ')}, ${until}`;
}
