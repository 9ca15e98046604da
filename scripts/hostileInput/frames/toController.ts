/** Hostile frames to a real controller, by agents that are known to it and by nobody in particular. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EvilAgent } from '../../../test/fixtures/evilAgent.ts';
import type { Random } from '../../random/random.ts';
import type { FleetProgram } from '../fleetProgram.ts';
import type { Part } from '../part.ts';
import { hostileFrame, SOME } from './mutate.ts';

const MOST_EACH = 40;

export async function framesToController(
  part: Part,
  program: FleetProgram,
  random: Random,
  count: number,
): Promise<void> {
  let host = 0;
  for (let sent = 0; sent < count && !part.late(); ) {
    const evil = await new EvilAgent(program.agentUrl, { host: `fuzz-${host++ % 50}` }).opened();
    if (random.chance(0.7)) {
      evil.hello();
      await evil.answerTo(1);
    }
    for (
      let left = 1 + random.below(MOST_EACH);
      left > 0 && evil.socket.readyState === evil.socket.OPEN;
      left--
    ) {
      evil.raw(hostileFrame(random, SOME));
      sent += 1;
      part.count('frames to the controller');
      if (random.chance(0.2)) await sleep(0);
    }
    // It is told what it did wrong, or goes; the next one comes at once.
    if (random.chance(0.5)) evil.socket.close();
    await Promise.race([evil.closed, sleep(20)]);
    evil.close();
  }
}
