import t from 'tap';
import { checkSupervisor, type Subject } from './contract.ts';
import { supervisorFor } from './kinds.ts';

const PROGRAMS = {
  works: 'echo $$ > pid; sleep 600; true',
  stubborn: 'trap "" TERM; echo $$ > pid; sleep 600; true',
  fails: 'echo cannot work; exit 4',
};
const run = (script: string): ReturnType<Subject['run']> => ({
  supervisor: 'process',
  command: ['sh', '-c', script, '${VERSION}'],
  environment: {},
  stop: { signal: 'SIGTERM', grace: 300 },
  log_size: 1,
});
const supervisor = supervisorFor(run(''));

t.test('contract', async (t) => checkSupervisor(t, { supervisor, run: (program) => run(PROGRAMS[program]) }));
