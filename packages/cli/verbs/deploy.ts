import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import {
  addExamples,
  addReasons,
  addRolling,
  addTargets,
  json,
  type Reasons,
  type Reporting,
  type Rolling,
  reach,
  type Targets,
  WATCHING_EXITS,
} from '../flags.ts';
import { planRequestOf } from '../request.ts';
import { startDeployment } from '../start.ts';

type Options = Reporting & Targets & Rolling & Reasons & { version?: string; ref?: string; wait: boolean };

export function define(command: Command, cli: Cli): void {
  addRolling(addTargets(command.argument('<service>')));
  addReasons(command)
    .addOption(reach())
    .option('--no-wait', 'only start it; exit status 0 then means accepted, and says only that')
    .addOption(json('print the recap alone on stdout, as JSON; the progress goes to stderr'))
    .action(async (service: string, options: Options) => {
      const body = planRequestOf(service, options);
      await startDeployment(cli, options, `fleet history ${service}`, (client) =>
        client.call('deployments.start', { body }),
      );
    });
  addExamples(
    command,
    [
      'fleet deploy segmenter --serial',
      'fleet deploy segmenter -e production --version 1.4.2 --batch 1,5,20% --soak 2m',
    ],
    WATCHING_EXITS,
  );
}
