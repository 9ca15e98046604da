import type { CheckContext } from '@fleet/checks/check.ts';
import { passing } from '@fleet/process/points.ts';
import type { CheckResult } from '@fleet/protocol/messages/check.ts';
import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Host } from '../host.ts';
import { type Home, homeOf } from '../releases/layout.ts';
import { requireSigned } from '../releases/signature.ts';
import { stateOf } from '../steps/report.ts';
import { environmentOf, openRuntime } from '../steps/runtime.ts';
import { valuesFor } from '../steps/values.ts';

export function checkHandlers(host: Host): Pick<Handlers<AgentMethods>, 'check.smoke'> {
  return {
    'check.smoke': async ({ service, version, skip, onceOnly, ...given }, { signal }) => {
      const home = homeOf(host.root, service, host.disk);
      const release = await requireSigned(home, version, host.trust);
      const run = valuesFor(release.service, version, given, host.secrets);
      const checks = release.service.smoke.filter(({ name }) => !skip.includes(name));
      if (checks.length === 0) return { results: [await checkRunning(host, home, version)] };
      await host.policy.admitHooks(release.service);
      const runtime = await openRuntime({ host, home, release, ...run });
      const redact: CheckContext['redact'] = (take) => host.secrets.stream(take);
      const context = {
        ...{ values: run.values, cwd: release.directory, environment: environmentOf(runtime) },
        ...{ user: runtime.user, signal, redact },
      };
      const look = () => host.runChecks(checks, context, { onceOnly });
      return { results: await passing('agent.local_smoke', look) };
    },
  };
}

/** Where there is no check to run, that it runs is what can be said of it. */
async function checkRunning(host: Host, home: Home, version: string): Promise<CheckResult> {
  const began = host.clock();
  const { state, version: started } = await stateOf(host, home);
  const passed = state === 'running' && started === version;
  const detail =
    started === version ? `it is ${state}` : `${started ?? 'nothing'} was started, not ${version}`;
  return { name: 'running', passed, tries: 1, ms: host.clock() - began, detail };
}
