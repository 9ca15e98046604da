/** For a host that is given up, or was only tried out: every service is stopped for good, by its own release. */
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Host } from '../host.ts';
import type { Entry } from '../releases/journal.ts';
import { homeOf, listServices } from '../releases/layout.ts';
import { stopService } from './stop.ts';

/** Nobody asked by a command, so there is nothing to remember for when it is repeated. */
const UNRECORDED: Entry = { part: (_name, _options, act) => act() };

/** False where a service could not be stopped; the others are stopped all the same. */
export async function endServices(host: Host): Promise<boolean> {
  let all = true;
  for (const service of await listServices(host.root, host.disk)) {
    try {
      const { changed } = await stopService(host, homeOf(host.root, service, host.disk), UNRECORDED);
      if (changed) host.log.info({ service }, 'stopped, and will not come back by itself');
    } catch (thrown) {
      const { code, message } = asFleetError(thrown);
      host.log.error({ service, code }, message);
      all = false;
    }
  }
  return all;
}
