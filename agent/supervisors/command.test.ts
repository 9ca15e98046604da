import type { RunOf } from '@fleet/protocol/service.ts';
import t from 'tap';
import { checkSupervisor } from './contract.ts';
import { supervisorFor } from './kinds.ts';

/** A daemon as init scripts keep them: one file has its number, whichever release it runs from. */
const START = `
  rm -f ../daemon
  setsid sh -c "$1" "$0" &
  while ! [ -s ../daemon ]; do sleep 0.01; done`;
const DAEMON = 'echo $$ | tee pid > ../daemon; sleep 600; true';
const STARTS = {
  works: ['sh', '-c', START, '${VERSION}', DAEMON],
  stubborn: ['sh', '-c', START, '${VERSION}', `trap "" TERM; ${DAEMON}`],
  fails: ['sh', '-c', 'echo cannot work; exit 4'],
};
/** What has ended and not been asked by its parent has an empty command line. */
const LIVES = '[ -s ../daemon ] && [ -n "$(tr -d "\\0" < /proc/$(cat ../daemon)/cmdline)" ]';
const run = (start: string[]): RunOf<'command'> => ({
  supervisor: 'command',
  start,
  stop: [
    'sh',
    '-c',
    `kill -s TERM -- -$(cat ../daemon); for i in 1 2 3 4 5; do ${LIVES} || exit 0; sleep 0.05; done; kill -s KILL -- -$(cat ../daemon)`,
  ],
  status: ['sh', '-c', `if ${LIVES}; then exit 0; else exit 3; fi`],
  environment: {},
  timeout: 20_000,
});
const supervisor = supervisorFor(run([]));

t.test('contract', async (t) => checkSupervisor(t, { supervisor, run: (program) => run(STARTS[program]) }));
