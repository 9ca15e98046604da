import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';
import { homeOf } from '../releases/layout.ts';
import { findManifest, writeSignature } from '../releases/signature.ts';

export function trustHandlers({
  root,
  disk,
  trust,
  log,
}: Host): Pick<Handlers<AgentMethods>, 'trust.update'> {
  return {
    'trust.update': async (update) => {
      const before = trust.says()?.serial;
      const serial = trust.take(update.trust, update.floors);
      if (serial !== before) log.info({ serial, level: trust.says()?.level }, 'who may sign has changed');
      for (const signed of update.releases) {
        const { service, version, manifest } = signed.statement;
        const home = homeOf(root, service, disk);
        const here = await findManifest(home, version);
        if (here === manifest && trust.vouches(signed)) await writeSignature(home, signed);
      }
      return { serial };
    },
  };
}
