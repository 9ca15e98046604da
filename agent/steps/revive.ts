/** After a reboot: what should run and does not is started again, with what it was started with before. */
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Host } from '../host.ts';
import type { Home } from '../releases/layout.ts';
import { readStarted } from '../releases/started.ts';
import { instanceOf } from './runtime.ts';
import { runtimeOf } from './stop.ts';

/** Never throws: one service that does not start keeps no other, and no agent, from its work. */
export async function reviveService(host: Host, home: Home): Promise<void> {
  const about = { service: home.service };
  try {
    const started = await readStarted(home);
    if (!started?.wanted) return;
    const runtime = await runtimeOf(host, home, started);
    const supervisor = host.supervisorFor(runtime.release.service.run);
    const instance = instanceOf(runtime);
    if ((await supervisor.status(instance)) !== 'stopped') return;
    await supervisor.start(instance);
    host.log.info({ ...about, version: started.version }, 'started again');
  } catch (thrown) {
    const { code, message } = asFleetError(thrown);
    host.log.error({ ...about, code }, message);
  }
}
