import { describe, ok, run } from '@fleet/process/run.ts';
import { substitute } from '@fleet/protocol/service.ts';
import type { CheckDriver } from './check.ts';

/** Milliseconds. A check that has been told to end has nothing to save. */
const GRACE = 1000;
/** Longer than any check may take: it is the signal that bounds a try. */
const NO_DEADLINE = 2 ** 31 - 1;

/** Passes when the program ends with exit status 0. The detail is the last line that it printed. */
export const command: CheckDriver<'command'> = {
  kind: 'command',
  async try({ command }, { values, cwd, environment, user, signal, redact }) {
    const argv = command.map((element) => substitute(element, values));
    const ended = await run({
      argv,
      cwd,
      env: environment,
      user,
      timeoutMs: NO_DEADLINE,
      graceMs: GRACE,
      signal,
      tailBytes: 4096,
      redact,
    });
    const said = ended.reason === 'not_started' ? '' : (ended.output.text.trimEnd().split('\n').at(-1) ?? '');
    const how =
      ended.reason === 'cancelled' ? `${argv.join(' ')} did not end in time` : describe(ended, argv);
    return { passed: ok(ended), detail: said.trim() === '' ? how : `${how}: ${said}` };
  },
};
