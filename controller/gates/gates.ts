/** The gates, in the order in which they are asked: cheap ones first. */
import type { Gate, GateInput, Refusal } from './gate.ts';
import { minVisible } from './minVisible.ts';

export const GATES: readonly Gate[] = [minVisible];

/** What every gate that is closed says. */
export async function refusals(input: GateInput): Promise<Refusal[]> {
  const said = await Promise.all(GATES.map((gate) => gate.refuses(input)));
  return said.filter((refusal) => refusal !== undefined);
}
