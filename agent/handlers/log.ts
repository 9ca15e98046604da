import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';
import { homeOf } from '../releases/layout.ts';
import { startedWith } from '../steps/values.ts';
import { readLog } from '../supervisors/log.ts';

export function logHandlers(host: Host): Pick<Handlers<AgentMethods>, 'log.read'> {
  return {
    'log.read': async ({ service, lines, after }) => {
      const home = homeOf(host.root, service, host.disk);
      const { text, cursor } = await readLog(home.run, { lines, after });
      // What an earlier release printed before a value was a secret.
      await startedWith(host, home);
      return { text: host.secrets.text(text), cursor };
    },
  };
}
