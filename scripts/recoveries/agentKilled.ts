/** `kill -9` of an agent while a hook of its restart step runs, and its start anew, at once. */
import type { Section } from '../benchmarks/figures.ts';
import { waitUntil } from '../local/program.ts';
import type { Scene } from './scene.ts';

export async function killAgents(scene: Scene, rounds: number): Promise<Section> {
  const [connected, takenUp]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const before = scene.hooksBegun().length;
    const id = await scene.deploy(['b']);
    await waitUntil('the hook runs', () => scene.hooksBegun().length > before);
    await scene.fleet.agents.get('b')!.stop('SIGKILL');
    const started = Date.now();
    await scene.fleet.startAgent('b');
    connected.push(Date.now() - started);
    await waitUntil('the hook runs again', () => scene.hooksBegun().length > before + 1);
    takenUp.push(scene.hooksBegun()[before + 1]! - started);
    await scene.succeeded(id);
  }
  return {
    title: 'An agent is killed in the middle of a step',
    figures: [
      { what: 'until it is connected', unit: 'ms', values: connected },
      { what: 'until the step is taken up again', unit: 'ms', values: takenUp, goal: 1000 },
    ],
    notes: [
      'From the start of the new process. The step is a restart whose hook runs and is `repeatable`: it is taken up when the hook begins anew. Every one of these deployments succeeded.',
    ],
  };
}
