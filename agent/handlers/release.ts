import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import type { Commands } from '../commands/commands.ts';
import type { Host } from '../host.ts';
import { activateRelease } from '../releases/activate.ts';
import { commitRelease } from '../releases/install.ts';
import { homeOf } from '../releases/layout.ts';
import { considerOffer } from '../releases/offer.ts';
import { pruneReleases } from '../releases/prune.ts';
import { requireUnit } from '../upgrade/replace.ts';

type ReleaseMethods = 'release.offer' | 'release.commit' | 'release.activate' | 'release.prune';

export function releaseHandlers(
  host: Host,
  commands: Commands,
): Pick<Handlers<AgentMethods>, ReleaseMethods> {
  const home = (service: string) => homeOf(host.root, service, host.disk);
  return {
    // Not from the journal: after an interruption the same offer is answered with what has arrived since.
    'release.offer': (offer) =>
      commands.observe('release.offer', offer, async () => {
        if (isOwn(offer.service)) requireUnit(host);
        return considerOffer(home(offer.service), offer, host.trust);
      }),
    'release.commit': (request) =>
      commands.perform('release.commit', request, () => commitRelease(home(request.service), request, host)),
    'release.activate': (request) =>
      commands.perform('release.activate', request, (entry) =>
        activateRelease(home(request.service), request, entry, host),
      ),
    'release.prune': (request) =>
      commands.perform('release.prune', request, () => pruneReleases(home(request.service), request)),
  };
}
