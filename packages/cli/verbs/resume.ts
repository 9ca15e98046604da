import { steers } from '../steer.ts';

export const define = steers({
  route: 'deployments.resume',
  says: (id) => [`deployment ${id} goes on`, `fleet attach ${id}   watches it`],
  examples: ['fleet resume 42', 'fleet resume 42 -m "the graphs are fine"'],
  exits: '0 it goes on, 2 there is no such deployment, 3 it is not paused, 4 the controller does not answer',
});
