import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';

export function hostHandlers(host: Host): Pick<Handlers<AgentMethods>, 'host.time' | 'host.examine'> {
  return {
    'host.time': async () => ({ at: host.now() }),
    'host.examine': (wanted) => host.examine(wanted),
  };
}
