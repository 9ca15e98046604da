import { FleetError } from '@fleet/protocol/errors.ts';
import { MOST_SIGNATURES } from '@fleet/protocol/messages/trust.ts';
import { keyIdOf, publicKeyFrom } from '@fleet/trust/keys.ts';
import { isSignedBy, signStatement } from '@fleet/trust/signed.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { readKey } from '../keyFiles.ts';
import { encodeJson } from '../print/escape.ts';
import { reachController } from '../reach.ts';

type Options = Reporting & { signKey: string; signedBy: string };

export function define(command: Command, cli: Cli): void {
  command
    .argument('[service]', 'only its releases (default: all)')
    .requiredOption('--sign-key <file>', 'the key that may sign now; it is not sent')
    .requiredOption('--signed-by <key>', 'the public key that they are signed with, as fleet keys printed it')
    .addOption(reach())
    .addOption(json())
    .action((service: string | undefined, options: Options) => sign(cli, service, options));
  addExamples(
    command,
    [
      'fleet sign --sign-key release.key --signed-by KEY',
      'fleet sign segmenter --sign-key release.key --signed-by KEY',
    ],
    `For level L1b, after the key that signs was replaced: until then hosts refuse what the former one has signed, also on a way back.
The controller is not believed: only what the former key has signed is signed anew, with the time that it had.`,
  );
}

async function sign(cli: Cli, service: string | undefined, options: Options): Promise<void> {
  const key = readKey(options.signKey);
  const former = options.signedBy;
  const id = keyIdOf(publicKeyFrom(former));
  const client = reachController(cli, options);
  const releases = await client.call('releases.list', { query: { service } });
  const good = releases.flatMap(({ signed }) =>
    signed && isSignedBy(signed, [former]) ? [signed.statement] : [],
  );
  if (good.length === 0)
    throw new FleetError('not_signed', `no release is signed by the key ${id.slice(0, 12)}`, {
      next: 'fleet keys show lists what nobody who may sign has signed',
    });
  const signed = good.map((statement) => signStatement(statement, key));
  for (let from = 0; from < signed.length; from += MOST_SIGNATURES)
    await client.call('signatures.add', { body: { signed: signed.slice(from, from + MOST_SIGNATURES) } });
  const floors = (await client.call('floors.list', {})).filter(
    (floor) => (service ?? floor.service) === floor.service && isSignedBy(floor.signed, [former]),
  );
  for (const { service, version, why, signed } of floors)
    await client.call('floors.set', {
      body: { service, version, why, signed: signStatement(signed.statement, key) },
    });
  if (options.json) return cli.out.print(encodeJson({ releases: signed, floors: floors.length }));
  cli.out.print(`signed: ${good.map(({ service, version }) => `${service} ${version}`).join(', ')}`);
  if (floors.length > 0)
    cli.out.print(`floors: ${floors.map((floor) => `${floor.service} ${floor.version}`).join(', ')}`);
}
