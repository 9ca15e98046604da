import type { PlanReply } from '@fleet/protocol/api/plans.ts';
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
import type { Channel } from '../print/channel.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
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

function printPlan(out: Channel, plan: PlanReply): void {
  const what = plan.version ?? (plan.toBuild === null ? '-' : `of ${oneLine(plan.toBuild)}, to be built,`);
  out.print(out.colors.bold(`plan: ${plan.service} ${what} to ${plan.environment}`));
  for (const { name, lanes } of plan.phases) {
    out.print(oneLine(name));
    const rows = lanes.flatMap(({ steps }) =>
      steps.map(({ host, kind, says }) => [`  ${host}`, kind, oneLine(says)]),
    );
    for (const line of layOut(rows)) out.print(line);
  }
  for (const note of plan.notes) out.print(`note: ${oneLine(note)}`);
  if (plan.noop) out.print('nothing to do: this version runs there already, with the same values');
  for (const { message, next } of plan.refusals) {
    out.print(`${out.colors.red('refused now:')} ${oneLine(message)}`);
    if (next) out.print(`next: ${oneLine(next)}`);
  }
}
