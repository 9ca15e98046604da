import { steers } from '../steer.ts';

export const define = steers({
  route: 'deployments.pause',
  says: (id) => [
    `deployment ${id} waits at the next safe point, and keeps its lock: the host that it is at is finished first`,
    `fleet resume ${id}   lets it go on`,
    `fleet abort ${id}    ends it`,
  ],
  examples: ['fleet pause 42', 'fleet pause 42 -m "a look at the graphs first"'],
  exits:
    '0 it waits, 2 there is no such deployment, 3 it ends or has ended already, 4 the controller does not answer',
});
