/**
 * The network of a run: a namespace for each host, and one for controller and balancer, joined by a bridge in that one. No
 * address of it is seen outside, so runs live side by side.
 */
import { command, tryCommand } from './commands.ts';

export const CONTROLLER_PORT = 7300;
export const HUB_ADDRESS = '10.77.0.1';
export const CONTROLLER_URL = `http://127.0.0.1:${CONTROLLER_PORT}`;
export const CONTROLLER_FOR_AGENTS = `ws://127.0.0.1:${CONTROLLER_PORT}`;
/** The network interface of each host. */
export const INTERFACE = 'eth0';
export const BRIDGE = 'bridge0';

export class Namespaces {
  readonly hub: string;
  readonly #prefix: string;
  readonly #hosts: readonly string[];

  constructor(prefix: string, hosts: readonly string[]) {
    this.#prefix = prefix;
    this.#hosts = hosts;
    this.hub = `${prefix}-hub`;
  }

  of(host: string): string {
    return `${this.#prefix}-${host}`;
  }
  addressOf(host: string): string {
    return `10.77.0.${11 + this.#hosts.indexOf(host)}`;
  }
  /** The hub's end of a host's cable. */
  cableOf(host: string): string {
    return `to-${host}`;
  }

  create(): void {
    command('ip', 'netns', 'add', this.hub);
    const hub = (...argv: string[]) => command('ip', '-n', this.hub, ...argv);
    hub('link', 'set', 'lo', 'up');
    hub('link', 'add', BRIDGE, 'type', 'bridge');
    hub('addr', 'add', `${HUB_ADDRESS}/24`, 'dev', BRIDGE);
    hub('link', 'set', BRIDGE, 'up');
    for (const host of this.#hosts) this.#addHost(host);
  }

  /**
   * For controller and agents that speak plain, and so to loopback only: the kernel carries what an agent sends to its own loopback
   * over the network, and in the hub back to loopback.
   */
  carryLoopback(): void {
    routeLoopback(this.hub, BRIDGE);
    this.nft(
      this.hub,
      'add table ip way',
      'add chain ip way arriving { type nat hook prerouting priority dstnat ; }',
      `add rule ip way arriving ip daddr ${HUB_ADDRESS} tcp dport ${CONTROLLER_PORT} dnat to 127.0.0.1:${CONTROLLER_PORT}`,
    );
    for (const namespace of this.#hosts.map((host) => this.of(host))) {
      routeLoopback(namespace, INTERFACE);
      this.nft(
        namespace,
        'add table ip way',
        'add chain ip way leaving { type nat hook output priority -100 ; }',
        `add rule ip way leaving ip daddr 127.0.0.1 tcp dport ${CONTROLLER_PORT} dnat to ${HUB_ADDRESS}:${CONTROLLER_PORT}`,
        'add chain ip way left { type nat hook postrouting priority srcnat ; }',
        `add rule ip way left oifname "${INTERFACE}" ip saddr 127.0.0.0/8 masquerade`,
      );
    }
  }

  #addHost(host: string): void {
    const namespace = this.of(host);
    command('ip', 'netns', 'add', namespace);
    const cable = this.cableOf(host);
    const ends = ['type', 'veth', 'peer', 'name', INTERFACE, 'netns', namespace];
    command('ip', '-n', this.hub, 'link', 'add', cable, ...ends);
    command('ip', '-n', this.hub, 'link', 'set', cable, 'master', BRIDGE, 'up');
    command('ip', '-n', namespace, 'addr', 'add', `${this.addressOf(host)}/24`, 'dev', INTERFACE);
    command('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
    command('ip', '-n', namespace, 'link', 'set', INTERFACE, 'up');
  }

  nft(namespace: string, ...statements: string[]): void {
    command(...inside(namespace, ['nft', statements.join('; ')]));
  }

  /** Every process that lives in it. */
  pidsIn(namespace: string): number[] {
    return tryCommand('ip', 'netns', 'pids', namespace)
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  }

  /** Ends whatever still lives in them, and takes them away. */
  remove(): void {
    for (const namespace of [this.hub, ...this.#hosts.map((host) => this.of(host))]) {
      for (let tries = 0; tries < 10; tries += 1) {
        const pids = this.pidsIn(namespace);
        if (pids.length === 0) break;
        for (const pid of pids) kill(pid, 'SIGKILL');
        tryCommand('sleep', '0.05');
      }
      tryCommand('ip', 'netns', 'del', namespace);
    }
  }
}

/** What comes from or goes to loopback may go over this device. */
function routeLoopback(namespace: string, device: string): void {
  command(...inside(namespace, ['sh', '-c', `echo 1 > /proc/sys/net/ipv4/conf/${device}/route_localnet`]));
}

/** The program takes the place of `nsenter`: the process that was started is its own. */
export function inside(namespace: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${namespace}`, ...argv];
}

/** False where it is gone. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
