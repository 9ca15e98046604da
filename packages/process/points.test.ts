import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import t from 'tap';
import { CHANNEL, POINTS, passing } from './points.ts';

t.test('a point is told before and after its work, in the very call', async (t) => {
  const heard: string[] = [];
  const listen = (passage: unknown) => {
    const { point, phase } = passage as { point: string; phase: string };
    heard.push(`${phase} ${point}`);
  };
  subscribe(CHANNEL, listen);
  t.teardown(() => unsubscribe(CHANNEL, listen));

  const passed = passing('controller.plan', () => heard.push('work'));
  t.strictSame(heard, ['before controller.plan', 'work'], 'nothing lies between the telling and the work');
  t.equal(await passed, 2, 'it gives what the work gives');
  t.equal(heard.at(-1), 'after controller.plan');

  heard.length = 0;
  const broken = passing('agent.rename', async () => {
    throw new Error('no room');
  });
  await t.rejects(broken, { message: 'no room' });
  t.strictSame(heard, ['before agent.rename'], 'what throws has not passed');
});

t.test('every point has its name', async (t) => {
  t.equal(new Set(POINTS).size, 37);
  t.equal(POINTS.filter((point) => point.startsWith('controller.')).length, 20);
  t.equal(POINTS.filter((point) => point.startsWith('agent.')).length, 17);
});
