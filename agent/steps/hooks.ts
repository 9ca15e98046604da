/** Programs that a version brings along for the moments around stopping and starting it, and its once steps. */
import { passing } from '@fleet/process/points.ts';
import { describe, ok } from '@fleet/process/run.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Hook } from '@fleet/protocol/service.ts';
import type { Entry } from '../releases/journal.ts';
import { HOOK } from './leftovers.ts';
import { noted, type Ran } from './ran.ts';
import { argvOf, environmentOf, type Runtime } from './runtime.ts';

/** Runs it once for this command, however often the command is done. Throws `hook_failed` and `hook_interrupted`. */
export function runHook(runtime: Runtime, name: string, hook: Hook, entry: Entry): Promise<Ran> {
  const { host, home, release, user } = runtime;
  const once = {
    version: release.version,
    skipped: noted(`${name} was not run again: a person decided that it counts as done\n`),
  };
  return entry.part(name, { repeatable: hook.repeatable, once }, async () => {
    await host.policy.admitHooks(release.service);
    const argv = argvOf(runtime, hook.command);
    const ended = await passing('agent.pre_hook', () =>
      host.run({
        argv,
        cwd: release.directory,
        env: { ...environmentOf(runtime), [HOOK]: host.instance },
        user,
        timeoutMs: hook.timeout,
        signal: host.leaving,
        redact: (take) => host.secrets.stream(take),
      }),
    );
    if (ok(ended)) return { output: ended.output, ms: ended.ms };
    const what = `${name} of ${home.service} ${release.version}`;
    if (ended.reason === 'cancelled') throw new FleetError('stopping', `the agent stopped during ${what}`);
    throw new FleetError('hook_failed', `${what}: ${describe(ended, argv)}`, {
      next: `Run it by hand in ${release.directory} to see why.`,
      data: {
        hook: name,
        command: argv,
        reason: ended.reason,
        code: ended.code,
        signal: ended.signal,
        output: ended.output,
      },
    });
  });
}
