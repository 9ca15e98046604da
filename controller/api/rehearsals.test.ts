import { EVERYWHERE } from '@fleet/protocol/access.ts';
import t from 'tap';
import { mayFollow } from './reach.ts';

t.test('rehearsals are the whole fleet’s: a narrower scope is told of none', async (t) => {
  const store = {} as Parameters<typeof mayFollow>[2]['store'];
  t.equal(await mayFollow(EVERYWHERE, 'rehearsal/1', { store }), true);
  t.equal(await mayFollow({ services: ['web'], environments: null }, 'rehearsal/1', { store }), false);
  t.equal(await mayFollow({ services: null, environments: ['staging'] }, 'rehearsal/1', { store }), false);
});
