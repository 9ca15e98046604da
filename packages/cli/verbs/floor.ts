import { FleetError } from '@fleet/protocol/errors.ts';
import type { SignedFloor } from '@fleet/protocol/trust.ts';
import { publicText } from '@fleet/trust/keys.ts';
import { isSignedBy, signStatement } from '@fleet/trust/signed.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { readKey } from '../keyFiles.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';
import { sayTold } from './keys.ts';

type Options = Reporting & { message?: string; signKey?: string };

export function define(command: Command, cli: Cli): void {
  command
    .helpCommand(false)
    .argument('<service>')
    .argument('<version>', 'the oldest one that is still good')
    .option('-m, --message <why>', 'why older ones are not')
    .option('--sign-key <file>', 'at level L1b, the key that signs releases; it is not sent')
    .addOption(reach())
    .addOption(json())
    .action((service: string, version: string, options: Options) => setFloor(cli, service, version, options));
  const listing = command
    .command('list')
    .description('List the floor of each service that has one.')
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const floors = await reachController(cli, options).call('floors.list', {});
      if (options.json) return cli.out.print(encodeJson(floors));
      if (floors.length === 0) cli.out.print('no service has a floor: every signed release is good');
      const rows = floors.map(({ service, version, at, by, why }) => [
        ...[service, version, formatMoment(at), oneLine(by), oneLine(why)],
      ]);
      for (const line of layOut(rows)) cli.out.print(line);
    });
  addExamples(listing, ['fleet floor list', 'fleet floor list --json']);
  addExamples(
    command,
    ['fleet floor segmenter 1.4.3 -m "1.4.2 and older answer to anybody"', 'fleet floor list'],
    `Releases that were signed before this one are refused from now on, by the controller and by every host itself, also when
they are on its disk. What runs goes on running until it is replaced. A floor never falls.`,
  );
}

async function setFloor(cli: Cli, service: string, version: string, options: Options): Promise<void> {
  const why = options.message;
  if (!why)
    throw new FleetError('bad_request', 'a floor needs a reason', {
      next: `say why: fleet floor ${service} ${version} -m "older ones have a known hole"`,
    });
  const client = reachController(cli, options);
  const signed = options.signKey && (await signFloor(client, service, version, options.signKey));
  const body = { service, version, why, ...(signed && { signed }) };
  const reply = await client.call('floors.set', { body });
  if (options.json) return cli.out.print(encodeJson(reply));
  cli.out.print(`${service}: releases older than ${version} are refused`);
  sayTold(cli, reply);
}

/** When a version was signed is believed only by the very key that signs here. */
async function signFloor(
  client: Client,
  service: string,
  version: string,
  file: string,
): Promise<SignedFloor> {
  const key = readKey(file);
  const releases = await client.call('releases.list', { query: { service } });
  const signed = releases.find((release) => release.version === version)?.signed;
  if (!signed || signed.statement.version !== version || !isSignedBy(signed, [publicText(key.publicKey)]))
    throw new FleetError('not_signed', `${service} ${version} was not signed with the key in ${file}`, {
      next: `fleet releases ${service} lists what there is; fleet sign signs it anew`,
    });
  const notBefore = signed.statement.signedAt;
  return signStatement({ kind: 'floor' as const, service, version, notBefore, signedAt: Date.now() }, key);
}
