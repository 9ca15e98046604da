import { steers } from '../steer.ts';

export const define = steers({
  route: 'deployments.abort',
  says: (id) => [
    `deployment ${id} stops at the next safe point: the host that it is at is finished first; one that waits for a person goes back`,
    `fleet attach ${id}   watches it until then`,
  ],
  examples: ['fleet abort 42', 'fleet abort 42 -m "wrong branch"'],
  exits:
    '0 it will stop, 2 there is no such deployment, 3 it has ended already, 4 the controller does not answer',
});
