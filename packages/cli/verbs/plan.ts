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
} from '../flags.ts';
import { encodeJson } from '../print/escape.ts';
import { printPlan } from '../print/plan.ts';
import { reachController } from '../reach.ts';
import { planRequestOf } from '../request.ts';

type Options = Reporting & Targets & Rolling & Reasons & { version?: string; ref?: string };
const REFUSED = 3;

export function define(command: Command, cli: Cli): void {
  addRolling(addTargets(command.argument('<service>')));
  addReasons(command)
    .addOption(reach())
    .addOption(json())
    .action(async (service: string, options: Options) => {
      const body = planRequestOf(service, options);
      const plan = await reachController(cli, options).call('plans.make', { body });
      if (plan.refusals.length > 0) cli.exit = REFUSED;
      if (options.json) return cli.out.print(encodeJson(plan));
      printPlan(cli.out, plan);
    });
  addExamples(
    command,
    ['fleet plan segmenter', 'fleet plan segmenter -e production --version 1.4.2 --batch 1,20%'],
    'Exit status: 0 it could be deployed now, 2 wrong use, 3 a gate or a lock would refuse it now, 4 the controller does not answer',
  );
}
