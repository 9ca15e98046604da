/** A step that one host does for all of them, such as a migration. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';
import type { Entry } from '../releases/journal.ts';
import type { Home } from '../releases/layout.ts';
import { requireSigned } from '../releases/signature.ts';
import { runHook } from './hooks.ts';
import { openRuntime } from './runtime.ts';
import { valuesFor } from './values.ts';

type Once = Request<AgentMethods, 'step.once'>;

export async function runOnce(
  host: Host,
  home: Home,
  request: Once,
  entry: Entry,
): Promise<Reply<AgentMethods, 'step.once'>> {
  const { version, name } = request;
  const release = await requireSigned(home, version, host.trust);
  const run = valuesFor(release.service, version, request, host.secrets);
  const step = release.service.once.find((once) => once.name === name);
  if (!step)
    throw new FleetError('bad_request', `${home.service} ${version} has no once step ${name}`, {
      data: { known: release.service.once.map((once) => once.name) },
    });
  return runHook(await openRuntime({ host, home, release, ...run }), name, step, entry);
}
