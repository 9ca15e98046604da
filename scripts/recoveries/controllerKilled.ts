/** `kill -9` of the controller in the middle of a deployment, and its start anew, as a supervisor does it: at once. */
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { Figure, Section } from '../benchmarks/figures.ts';
import { waitUntil } from '../local/program.ts';
import type { Scene } from './scene.ts';

/** The step of the second host at which it is killed, in turn. */
const MOMENTS: readonly StepKind[] = ['stage', 'hide', 'activate', 'restart', 'smoke', 'unhide', 'record'];

export async function killControllers(scene: Scene, rounds: number): Promise<Section> {
  const [listens, connected, next]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const kind = MOMENTS[round % MOMENTS.length]!;
    const id = await scene.deploy();
    await waitUntil(`deployment ${id} is at ${kind} of b`, async () =>
      (await scene.steps(id)).some(
        (step) => step.host === 'b' && step.kind === kind && step.state !== 'pending',
      ),
    );
    const killed = Date.now();
    await scene.fleet.controller!.stop('SIGKILL');
    await scene.fleet.startController();
    listens.push(Date.now() - killed);
    await scene.allConnected();
    connected.push(Date.now() - killed);
    const ended = (await scene.succeeded(id))
      .filter(({ event }) => event.type === 'step.ended')
      .map(({ at }) => Date.parse(at));
    const first = ended.find((at) => at > killed);
    // It was killed after its last step: there was only the end left.
    if (first !== undefined) next.push(first - killed);
  }
  const figure = (what: string, values: number[], goal?: number): Figure => ({
    what,
    unit: 'ms',
    values,
    ...(goal === undefined ? {} : { goal }),
  });
  return {
    title: 'The controller is killed in the middle of a deployment',
    figures: [
      figure('until it listens again', listens),
      figure('until every agent is back', connected),
      figure('until the deployment’s next step has ended', next, 3000),
    ],
    notes: [
      `From the kill, at ${MOMENTS.slice(0, rounds).join(', ')} of the second host; it is started again at once. Every one of these deployments succeeded.`,
    ],
  };
}
