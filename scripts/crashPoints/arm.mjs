// Loaded into controller and agents with `node --import arm.mjs?dir=DIR&program=NAME`. Counts every passage of a point in
// DIR/passages, and where DIR/NAME.plan names this one, says so in DIR/NAME.struck and then kills, stops or holds the process.
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const { searchParams } = new URL(import.meta.url);
const dir = searchParams.get('dir');
const program = searchParams.get('program');
const plan = join(dir, `${program}.plan`);
const struck = join(dir, `${program}.struck`);
const pause = new Int32Array(new SharedArrayBuffer(4));
let seen = { id: undefined, hits: 0 };

if (isMainThread)
  subscribe('fleet:point', ({ point, phase }) => {
    appendFileSync(join(dir, 'passages'), `${point} ${phase} ${program}\n`);
    if (!existsSync(plan)) return;
    const wanted = JSON.parse(readFileSync(plan, 'utf8'));
    if (wanted.point !== point || wanted.phase !== phase) return;
    if (seen.id !== wanted.id) seen = { id: wanted.id, hits: 0 };
    seen.hits += 1;
    if (seen.hits < wanted.hit) return;
    // The plan is gone before anything happens: whoever comes back from this does not meet it again.
    renameSync(plan, struck);
    if (wanted.fault === 'kill') process.kill(process.pid, 'SIGKILL');
    if (wanted.fault === 'stop') process.kill(process.pid, 'SIGSTOP');
    // Nothing more is done here until the network is cut, which whoever cuts it says by taking the file away.
    if (wanted.fault === 'cut') while (existsSync(struck)) Atomics.wait(pause, 0, 0, 2);
  });
