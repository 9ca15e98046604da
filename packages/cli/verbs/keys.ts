import type { Reply } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Level, SignedTrust, TrustStatement } from '@fleet/protocol/trust.ts';
import { keyIdOf, publicKeyFrom, publicText } from '@fleet/trust/keys.ts';
import { isSignedBy, signStatement } from '@fleet/trust/signed.ts';
import { type Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { makeKeyFile, readKey, readPublicKey } from '../keyFiles.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

type Changing = Reporting & { rootKey: string };
type Signer = TrustStatement['signers'][number];

/** The signer that is the controller itself. */
const CONTROLLER = 'controller';
const MEANS: Record<Level, string> = {
  L0: 'the controller signs releases. Whoever owns it can run code on every host.',
  L1b: 'another machine signs releases. Whoever owns the controller can start, stop and go back, and run nothing that was not signed there.',
};

export function define(command: Command, cli: Cli): void {
  command.helpCommand(false);
  command
    .command('show', { isDefault: true })
    .description('Show which level holds, and who may sign.')
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const shown = await reachController(cli, options).call('trust.show', {});
      if (options.json) return cli.out.print(encodeJson(shown));
      show(cli, shown);
    });
  command
    .command('make')
    .description('Make a release key on this machine, such as CI. The controller is not asked.')
    .requiredOption('--out <file>', 'the private half, 0600; the public half goes to FILE.pub')
    .action(({ out }: { out: string }) => {
      const { id, publicPath } = makeKeyFile(out);
      cli.out.print(`made ${out}, key ${id.slice(0, 12)}; its public half is ${publicPath}`);
      cli.out.print(`next: fleet keys add ci --public-key ${publicPath} --root-key FILE --level L1b`);
    });
  changing('rotate', 'Replace the controller’s release key, at level L0.').action((options: Changing) =>
    change(cli, options, async (client, now) => {
      if (now.level !== 'L0')
        throw new FleetError('bad_request', 'the controller has no release key at level L1b', {
          next: 'fleet keys make --out FILE where releases are signed, then fleet keys add with the same name',
        });
      const { key } = await client.call('trust.key', {});
      return { level: now.level, signers: withSigner(now.signers, { name: CONTROLLER, key }) };
    }),
  );
  changing('add', 'Let a key sign releases, or replace the one of this name.')
    .argument('<name>')
    .requiredOption('--public-key <file>', 'its public half')
    .addOption(new Option('--level <level>', 'L1b: the controller signs no more, for good').choices(['L1b']))
    .action((name: string, options: Changing & { publicKey: string; level?: 'L1b' }) =>
      change(cli, options, async (_client, now) => {
        const level = options.level ?? now.level;
        const kept =
          level === 'L0' ? now.signers : now.signers.filter((signer) => signer.name !== CONTROLLER);
        return { level, signers: withSigner(kept, { name, key: readPublicKey(options.publicKey) }) };
      }),
    );
  changing('remove', 'Let a key sign no more.')
    .argument('<name>')
    .action((name: string, options: Changing) =>
      change(cli, options, async (_client, now) => {
        const signers = now.signers.filter((signer) => signer.name !== name);
        if (signers.length === now.signers.length)
          throw new FleetError('bad_request', `no key is called ${name}`, {
            next: 'fleet keys show lists them',
          });
        return { level: now.level, signers };
      }),
    );
  addExamples(
    command,
    [
      'fleet keys show',
      'fleet keys rotate --root-key fleet-root.key',
      'fleet keys make --out release.key',
      'fleet keys add ci --public-key release.key.pub --root-key fleet-root.key --level L1b',
      'fleet keys remove ci-old --root-key fleet-root.key',
    ],
    `rotate, add and remove make the next document of who may sign, on this machine, and sign it with the root key that fleet init
made. Only the document is sent. Hosts take it from whoever has it, and never an older one or a lower level.
What a removed key has signed is refused everywhere: at level L0 the controller signs what it has anew, at level L1b fleet sign does.`,
  );

  function changing(name: string, description: string): Command {
    return command
      .command(name)
      .description(description)
      .requiredOption('--root-key <file>', 'the root key, from where it is kept; it is not sent')
      .addOption(reach())
      .addOption(json());
  }
}

function show(cli: Cli, { root, trust, unsigned }: Reply<'trust.show'>): void {
  const { level, serial, signers, signedAt } = trust.statement;
  cli.out.print(`level ${level}: ${MEANS[level]}`);
  const rows = signers.map(({ name, key }) => ['may sign', name, keyIdOf(publicKeyFrom(key)).slice(0, 12)]);
  rows.push(['root key', '', root.slice(0, 12)]);
  for (const line of layOut(rows)) cli.out.print(line);
  cli.out.print(`document ${serial}, of ${formatMoment(new Date(signedAt).toISOString())}`);
  if (unsigned.length === 0) return;
  cli.out.print(
    `not signed by them: ${unsigned.map(({ service, version }) => `${service} ${version}`).join(', ')}`,
  );
  cli.out.print('next: fleet sign --sign-key FILE --signed-by KEY, where the key is');
}

/** The document that holds is believed only as the root key signed it: the controller may not add to what is signed here. */
async function change(
  cli: Cli,
  options: Changing,
  decide: (client: Client, now: TrustStatement) => Promise<Pick<TrustStatement, 'level' | 'signers'>>,
): Promise<void> {
  const root = readKey(options.rootKey);
  const client = reachController(cli, options);
  const { trust: now } = await client.call('trust.show', {});
  if (!isSignedBy(now, [publicText(root.publicKey)]))
    throw new FleetError('not_signed', `${options.rootKey} is not the root key of this fleet`, {
      next: 'give the file that fleet init called fleet-root.key',
    });
  const { level, signers } = await decide(client, now.statement);
  if (signers.length === 0)
    throw new FleetError('bad_request', 'nobody could sign releases any more', {
      next: 'add another key first',
    });
  const serial = now.statement.serial + 1;
  const statement: TrustStatement = { kind: 'trust', serial, level, signers, signedAt: Date.now() };
  const trust: SignedTrust = signStatement(statement, root);
  const reply = await client.call('trust.replace', { body: { trust } });
  if (options.json) return cli.out.print(encodeJson(reply));
  const names = signers.map(({ name, key }) => `${name} (${keyIdOf(publicKeyFrom(key)).slice(0, 12)})`);
  cli.out.print(`document ${serial}, level ${level}: ${names.join(', ')} may sign`);
  sayTold(cli, reply);
  if (level === 'L0') return; // The controller has signed anew what it had.
  for (const { name, key } of now.statement.signers)
    if (!signers.some((signer) => signer.key === key))
      cli.out.print(`next, for what ${name} has signed: fleet sign --sign-key FILE --signed-by ${key}`);
}

/** For every change that hosts keep themselves. */
export function sayTold(cli: Cli, { told, away }: { told: string[]; away: string[] }): void {
  if (told.length > 0) cli.out.print(`${told.join(', ')}: told`);
  if (away.length > 0) cli.out.print(`${away.join(', ')}: not there, and told when they are`);
}

function withSigner(signers: readonly Signer[], signer: Signer): Signer[] {
  return [...signers.filter(({ name }) => name !== signer.name), signer];
}
