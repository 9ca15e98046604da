import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Commands } from '../commands/commands.ts';
import type { Host } from '../host.ts';
import { homeOf } from '../releases/layout.ts';
import { runOnce } from '../steps/once.ts';
import { reportService } from '../steps/report.ts';
import { restartService } from '../steps/restart.ts';
import { stopService } from '../steps/stop.ts';

type StepMethods = 'step.restart' | 'step.stop' | 'step.once' | 'step.report';

export function stepHandlers(host: Host, commands: Commands): Pick<Handlers<AgentMethods>, StepMethods> {
  const home = (service: string) => homeOf(host.root, service, host.disk);
  return {
    'step.restart': (request) =>
      commands.perform('step.restart', request, (entry) =>
        restartService(host, home(request.service), request, entry),
      ),
    'step.stop': (request) =>
      commands.perform('step.stop', request, (entry) => stopService(host, home(request.service), entry)),
    'step.once': (request) =>
      commands.perform('step.once', request, (entry) => runOnce(host, home(request.service), request, entry)),
    'step.report': ({ service }) => reportService(host, home(service)),
  };
}
