/** Programs that die, are stopped, or stand still. */

import { kill } from '../../machines/namespaces.ts';
import type { Random } from '../../random/random.ts';
import type { Calls } from '../calls.ts';
import type { Daemon } from '../daemon.ts';
import type { Host, World } from '../world.ts';
import type { Fault } from './fault.ts';

type Way = 'kill' | 'stop' | 'freeze';

export function controllerFault(way: Way, { controller }: World): Fault {
  return {
    kind: `controller.${way}`,
    host: null,
    harmless: true,
    takes: ['controller'],
    ...downAndUp(way, controller),
  };
}

export function agentFault(way: Way, { name, agent }: Host): Fault {
  return {
    kind: `agent.${way}`,
    host: name,
    harmless: true,
    takes: [`agent ${name}`],
    ...downAndUp(way, agent),
  };
}

function downAndUp(way: Way, daemon: Daemon): Pick<Fault, 'begin' | 'end'> {
  if (way === 'freeze') return { begin: () => daemon.freeze(), end: () => daemon.thaw() };
  return {
    begin: () => daemon.end(way === 'kill' ? 'SIGKILL' : 'SIGTERM'),
    end: () => daemon.start(),
  };
}

/** Everything on it is gone at once; its agent starts again. */
export function reboot(world: World, host: Host): Fault {
  return {
    kind: 'host.reboot',
    host: host.name,
    harmless: false,
    takes: [`agent ${host.name}`, `service ${host.name}`],
    async begin() {
      const down = host.agent.end('SIGKILL');
      // What is being started at this moment is found by a second look.
      for (let look = 0; look < 2; look += 1)
        for (const { pid } of world.processesOn(host)) kill(pid, 'SIGKILL');
      await down;
    },
    end: () => host.agent.start(),
  };
}

export function killService(world: World, host: Host): Fault {
  return {
    kind: 'service.kill',
    host: host.name,
    harmless: false,
    takes: [`service ${host.name}`],
    begin() {
      for (const { pid, argv } of world.processesOn(host))
        if (argv.at(-1) === 'service') kill(pid, 'SIGKILL');
    },
    end() {},
  };
}

/** One that is under way. */
export function killCall(calls: Calls, random: Random): Fault {
  return {
    kind: 'cli.kill',
    host: null,
    harmless: true,
    takes: ['cli'],
    begin() {
      const watching = calls.watching();
      if (watching.length > 0) calls.kill(random.pick(watching));
    },
    end() {},
  };
}
