/** What a deployment would do, as people read it. */
import type { PlanReply } from '@fleet/protocol/api/plans.ts';
import type { Channel } from './channel.ts';
import { oneLine } from './escape.ts';
import { layOut } from './table.ts';

export function printPlan(out: Channel, plan: PlanReply): void {
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
