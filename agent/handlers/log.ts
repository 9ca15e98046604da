import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';
import { homeOf } from '../releases/layout.ts';
import { findRelease } from '../releases/release.ts';
import { startedWith } from '../steps/values.ts';
import { readPrinted } from '../supervisors/printed.ts';

export function logHandlers(host: Host): Pick<Handlers<AgentMethods>, 'log.read'> {
  return {
    'log.read': async ({ service, lines, after }) => {
      const home = homeOf(host.root, service, host.disk);
      // Its secrets are known from here on: what an earlier release printed before a value was one, and what no shim has filtered.
      const started = await startedWith(host, home);
      const run = started && (await findRelease(home, started.version))?.service.run;
      const { text, cursor } = await readPrinted({ service, home: home.run, run }, { lines, after });
      return { text: host.secrets.text(text), cursor };
    },
  };
}
