import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import {
  addExamples,
  addReasons,
  addTargets,
  json,
  type Reasons,
  type Reporting,
  reach,
  type Targets,
  WATCHING_EXITS,
} from '../flags.ts';
import { targetOf } from '../request.ts';
import { startDeployment } from '../start.ts';

type Options = Reporting & Targets & Reasons & { to?: string; yes?: boolean; wait: boolean };

export function define(command: Command, cli: Cli): void {
  addTargets(
    command
      .argument('<service>')
      .option('--to <version>', 'the version (default: the last one that was verified on all these hosts)'),
  );
  addReasons(command)
    .option('-y, --yes', 'do not ask first; without a terminal nothing is asked')
    .addOption(reach())
    .option('--no-wait', 'only start it; exit status 0 then means accepted, and says only that')
    .addOption(json('print the recap alone on stdout, as JSON; the progress goes to stderr'))
    .action(async (service: string, options: Options) => {
      const body = { ...targetOf(service, options), to: options.to };
      if (!options.yes && (await cli.ask(questionOf(service, options))) === false) {
        cli.err.print('nothing was done');
        cli.exit = 3;
        return;
      }
      await startDeployment(cli, options, `fleet history ${service}`, (client) =>
        client.call('deployments.rollback', { body }),
      );
    });
  addExamples(
    command,
    [
      'fleet rollback segmenter -e production',
      'fleet rollback segmenter --host cubed-segmenter-a --to 1.4.1 -m "1.4.2 is slow"',
    ],
    WATCHING_EXITS,
  );
}

function questionOf(service: string, { environment, host, role, to }: Options): string {
  const where = environment ?? 'its environment';
  const hosts =
    [host && `hosts ${host.join(', ')}`, role && `roles ${role.join(', ')}`].filter(Boolean).join(' and ') ||
    'every host';
  return `Roll ${service} in ${where} back to ${to ?? 'the last version verified there'}, on ${hosts}?`;
}
