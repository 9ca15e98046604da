import { X509Certificate } from 'node:crypto';
import type { Role } from '@fleet/protocol/access.ts';
import { ROLES } from '@fleet/protocol/access.ts';
import type { PersonRow } from '@fleet/protocol/api/people.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { lifetime } from '@fleet/protocol/words.ts';
import { writeJoinString } from '@fleet/trust/joinString.ts';
import { keyIdOf } from '@fleet/trust/keys.ts';
import { loginPath, readLogin } from '@fleet/trust/login.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, list, type Reporting, reach } from '../flags.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

type Adding = Reporting & { role: Role; service?: string[]; environment?: string[]; ttl: number };

export function define(command: Command, cli: Cli): void {
  command.helpCommand(false);
  const adding = command.command('add').description('Give a person or a program a token.');
  adding
    .argument('<name>', 'what the history will call them, like ann or ci')
    .addOption(new Option('--role <role>', 'what they may do').choices(ROLES).makeOptionMandatory())
    .addOption(new Option('--service <names>', 'only these services; may be repeated').argParser(list))
    .addOption(
      new Option('-e, --environment <names>', 'only these environments; may be repeated').argParser(list),
    )
    .addOption(
      new Option('--ttl <lifetime>', 'how long the token holds, like 12h')
        .argParser(readLifetime)
        .default(readLifetime('90d'), '90d'),
    )
    .addOption(reach())
    .addOption(json('print the login string as one JSON document'))
    .action((name: string, options: Adding) => add(cli, name, options));
  addExamples(
    adding,
    [
      'fleet people add ann --role deployer',
      'fleet people add ci --role deployer --service segmenter -e staging --ttl 365d',
    ],
    `Prints a login string on stdout, once: it is kept nowhere. Nobody can give more than they have.

viewer     looks
deployer   builds, deploys, rolls back, pauses, aborts
approver   what a deployer may, and approves
admin      people, hosts, backups, the audit log`,
  );
  const listing = command.command('list').description('People and programs that have a token.');
  listing
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const people = await reachController(cli, options).call('people.list', {});
      if (options.json) return cli.out.print(encodeJson(people));
      for (const line of layOut(people.map(rowOf))) cli.out.print(line);
    });
  addExamples(listing, ['fleet people list', 'fleet people list --json']);
  const revoking = command.command('revoke').description('End somebody’s token.');
  revoking
    .argument('<name>')
    .addOption(reach())
    .addOption(json())
    .action((name: string, options: Reporting) => revoke(cli, name, options));
  addExamples(
    revoking,
    ['fleet people revoke ann', 'fleet people revoke ci --json'],
    'It opens nothing from then on, and event streams that are open with it end within 5 s. Deployments go on.',
  );
  addExamples(
    command,
    ['fleet people add ann --role deployer', 'fleet people list', 'fleet people revoke ann'],
    'Where no admin is left: on the controller’s machine, with the controller stopped, fleet init controller --login NAME.',
  );
}

async function add(cli: Cli, name: string, options: Adding): Promise<void> {
  const client = reachController(cli, options);
  const login = readLogin(loginPath(cli.environment));
  if (client.controller.startsWith('http:') || login === undefined)
    throw new FleetError(
      'bad_request',
      'a login string is made from the login of whoever gives it, and there is none',
      {
        next: 'fleet login first; a controller in development asks nobody who they are',
      },
    );
  const { role, service: services = null, environment: environments = null, ttl } = options;
  const { token, expires } = await client.call('people.add', {
    body: { name, role, services, environments, ttl },
  });
  const string = writeJoinString({
    url: client.controller,
    token,
    ca: keyIdOf(new X509Certificate(login.ca).publicKey),
    root: login.root,
  });
  if (options.json)
    return cli.out.print(encodeJson({ name, role, services, environments, expires, login: string }));
  cli.err.print(`${name} may log in until ${formatMoment(expires)}: fleet login, and then this string`);
  cli.out.print(string);
}

async function revoke(cli: Cli, name: string, options: Reporting): Promise<void> {
  const reply = await reachController(cli, options).call('people.revoke', { params: { name } });
  if (options.json) return cli.out.print(encodeJson(reply));
  cli.out.print(`${name} is out: the token opens nothing any more`);
  if (reply.gave.length > 0)
    cli.err.print(
      `note: ${name} gave tokens to ${reply.gave.map(oneLine).join(', ')}, and they are still good`,
    );
}

function rowOf({ name, role, services, environments, expires, lastUsed, by }: PersonRow): string[] {
  return [
    oneLine(name),
    role,
    services === null ? 'all services' : services.join(','),
    environments === null ? 'all environments' : environments.join(','),
    expires === null ? 'does not expire' : `until ${formatMoment(expires)}`,
    lastUsed === null ? 'never used' : `last used ${formatMoment(lastUsed)}`,
    `given by ${oneLine(by)}`,
  ];
}

function readLifetime(value: string): number {
  const milliseconds = lifetime.safeParse(value);
  if (!milliseconds.success) throw new InvalidArgumentError('A lifetime is written like 15m, 12h or 90d.');
  return milliseconds.data;
}
