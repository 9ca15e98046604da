/** A controller that does nothing but begin and end deployments, and says of each on stdout once it is committed. */
import { writeSync } from 'node:fs';
import { sampleRecap } from './samples.fixture.ts';
import { createStore } from './store.ts';

const store = await createStore(process.argv[2]!);
for (;;) {
  const asked = { kind: 'deploy', by: 'ann', why: null, request: {}, environment: 'production' } as const;
  const id = await store.deployments.begin({ ...asked, service: 'segmenter' });
  writeSync(1, `begun ${id}\n`);
  const end = { state: 'succeeded', exit: 0 } as const;
  await store.deployments.end(id, end, { type: 'deployment.ended', recap: sampleRecap(id) });
  writeSync(1, `ended ${id}\n`);
}
