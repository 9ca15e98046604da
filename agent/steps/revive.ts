/** After a reboot: what should run and does not is started again, with what it was started with before. */
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Host } from '../host.ts';
import type { Home } from '../releases/layout.ts';

/** Never throws: one service that does not start keeps no other, and no agent, from its work. */
export async function reviveService(host: Host, { service, run }: Home): Promise<void> {
  try {
    await host.policy.admit(service);
    if (await host.revive(run)) host.log.info({ service }, 'started again');
  } catch (thrown) {
    const { code, message } = asFleetError(thrown);
    host.log.error({ service, code }, message);
  }
}
