/** Links that are cut, lose, delay or reset what goes over them: by the packet filter of the namespace they lead to. */

import { command, tryCommand } from '../../machines/commands.ts';
import { BRIDGE, CONTROLLER_PORT, INTERFACE, inside } from '../../machines/namespaces.ts';
import type { Random } from '../../random/random.ts';
import type { Host, World } from '../world.ts';
import type { Fault } from './fault.ts';

export type LinkKind = Extract<Fault['kind'], `link.${string}`>;

const DROP = 'drop';
const VERDICTS: Record<LinkKind, string> = {
  'link.cut': DROP,
  'link.oneway': DROP,
  'link.flap': DROP,
  'link.reset': 'reject with tcp reset',
  'link.loss': 'numgen random mod 100 < 30 drop',
  'link.slow': 'limit rate over 40 kbytes/second burst 24 kbytes drop',
};
const FLAP_MS = [300, 2500] as const;

/** What of a link is touched, as the packet filter says it: what leaves, and what comes. */
interface Reach {
  namespace: string;
  leaving: string;
  coming: string;
}

/** `host` null: the controller's link to all agents. `only`: nothing but what goes between agent and controller. */
export function linkFault(
  kind: LinkKind,
  world: World,
  host: Host | null,
  only: boolean,
  random: Random,
): Fault {
  const reach = reachOf(world, host, only);
  const ways = waysOf(kind, random);
  let flapping: NodeJS.Timeout | undefined;
  const cut = () =>
    world.network.nft(
      reach.namespace,
      'add table inet fault',
      'add chain inet fault leaving { type filter hook output priority 0 ; }',
      'add chain inet fault coming { type filter hook input priority 0 ; }',
      ...ways.map((way) => `add rule inet fault ${way} ${reach[way]} ${VERDICTS[kind]}`),
    );
  const mend = () => tryCommand(...inside(reach.namespace, ['nft', 'delete table inet fault']));
  const flap = (down: boolean) => {
    if (down) cut();
    else mend();
    flapping = setTimeout(flap, random.between(...FLAP_MS), !down);
  };
  const slowEverything = kind === 'link.slow' && !only && host !== null;
  return {
    kind,
    host: host?.name ?? null,
    harmless: only || host === null,
    takes:
      host === null ? ['links', ...world.hosts.map(({ name }) => `link ${name}`)] : [`link ${host.name}`],
    begin() {
      if (kind === 'link.flap') flap(true);
      else if (slowEverything) slow(world, host, true);
      else cut();
    },
    end() {
      clearTimeout(flapping);
      if (slowEverything) slow(world, host, false);
      else mend();
    },
  };
}

function reachOf({ network }: World, host: Host | null, only: boolean): Reach {
  if (host === null)
    return {
      namespace: network.hub,
      leaving: `oifname "${BRIDGE}" tcp sport ${CONTROLLER_PORT}`,
      coming: `iifname "${BRIDGE}" tcp dport ${CONTROLLER_PORT}`,
    };
  const leaving = only ? `tcp dport ${CONTROLLER_PORT}` : 'meta l4proto tcp';
  const coming = only ? `tcp sport ${CONTROLLER_PORT}` : 'meta l4proto tcp';
  return {
    namespace: host.namespace,
    leaving: `oifname "${INTERFACE}" ${leaving}`,
    coming: `iifname "${INTERFACE}" ${coming}`,
  };
}

function waysOf(kind: LinkKind, random: Random): Array<'leaving' | 'coming'> {
  return kind === 'link.oneway' ? [random.pick(['leaving', 'coming'] as const)] : ['leaving', 'coming'];
}

/** A narrow line, by a token bucket at each end. */
function slow({ network }: World, host: Host, on: boolean): void {
  const ends: Array<[string, string]> = [
    [host.namespace, INTERFACE],
    [network.hub, network.cableOf(host.name)],
  ];
  for (const [namespace, device] of ends) {
    const bucket = ['tbf', 'rate', '400kbit', 'burst', '16kb', 'latency', '500ms'];
    if (on) command(...inside(namespace, ['tc', 'qdisc', 'add', 'dev', device, 'root', ...bucket]));
    else tryCommand(...inside(namespace, ['tc', 'qdisc', 'del', 'dev', device, 'root']));
  }
}
