import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';
import { homeOf } from '../releases/layout.ts';
import { readLog } from '../supervisors/log.ts';

export function logHandlers(host: Host): Pick<Handlers<AgentMethods>, 'log.read'> {
  return {
    'log.read': ({ service, lines, after }) =>
      readLog(homeOf(host.root, service, host.disk).run, { lines, after }),
  };
}
