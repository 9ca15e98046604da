/** Peers that are lost without a word: stopped, or behind a line that drops everything. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Section } from '../benchmarks/figures.ts';
import { type Program, waitUntil } from '../local/program.ts';
import { HOSTS, type Scene } from './scene.ts';

const GOAL_MS = 20_000;

/** Whether this network is ours to cut, and there is the tool for it. */
export const canCut = process.env.FLEET_OWN_NETWORK === 'yes' && runs('nft', '--version') && runs('ss', '-V');

export async function losePeers(scene: Scene, rounds: number): Promise<Section> {
  const { fleet } = scene;
  const [stoppedAgent, cutAgent, cutController, stoppedController]: number[][] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const [a, b] = [fleet.agents.get('a')!, fleet.agents.get('b')!];
    const logged = lengthOf(b);
    const from = Date.now();
    process.kill(a.pid, 'SIGSTOP');
    if (canCut) cut(portOf(b), new URL(fleet.url).port);
    const shown = async (host: string) => {
      await waitUntil(`${host} is shown as lost`, async () => !(await scene.connected()).includes(host));
      return Date.now() - from;
    };
    stoppedAgent!.push(...(await Promise.all([shown('a')])));
    if (canCut) {
      cutAgent!.push(await shown('b'));
      cutController!.push((await noticed(b, logged)) - from);
      execFileSync('nft', ['flush', 'ruleset']);
    }
    process.kill(a.pid, 'SIGCONT');
    await scene.allConnected();

    const controller = fleet.controller!;
    const lengths = HOSTS.map((host) => lengthOf(fleet.agents.get(host)!));
    const since = Date.now();
    process.kill(controller.pid, 'SIGSTOP');
    for (const [index, host] of HOSTS.entries())
      stoppedController!.push((await noticed(fleet.agents.get(host)!, lengths[index]!)) - since);
    process.kill(controller.pid, 'SIGCONT');
    await scene.allConnected();
  }
  const figure = (what: string, values: number[]) => ({ what, unit: 'ms' as const, values, goal: GOAL_MS });
  return {
    title: 'A peer is lost without a word',
    figures: [
      figure('a stopped agent is shown as lost', stoppedAgent!),
      ...(canCut
        ? [
            figure('an agent behind a cut line is shown as lost', cutAgent!),
            figure('the agent behind the cut line has noticed', cutController!),
          ]
        : []),
      figure('the agents of a stopped controller have noticed', stoppedController!),
    ],
    notes: canCut ? [] : ['The cut line is left out: it needs root, unshare, nft and ss.'],
  };
}

/** Drops every packet of one connection, both ways; neither end is told. */
function cut(near: string, far: string): void {
  const rules = [
    'add table inet cut',
    'add chain inet cut input { type filter hook input priority 0; }',
    `add rule inet cut input tcp sport ${near} tcp dport ${far} drop`,
    `add rule inet cut input tcp sport ${far} tcp dport ${near} drop`,
  ];
  execFileSync('nft', ['-f', '-'], { input: `${rules.join('\n')}\n` });
}

/** The port on an agent's side of its connection. */
function portOf({ pid }: Program): string {
  const connections = execFileSync('ss', ['-Htnp', 'state', 'established'], { encoding: 'utf8' });
  const [, port] =
    new RegExp(`127\\.0\\.0\\.1:(\\d+) +127\\.0\\.0\\.1:\\d+ +users:.*pid=${pid},`).exec(connections) ?? [];
  if (port === undefined) throw new Error(`no connection of process ${pid} in:\n${connections}`);
  return port;
}

const lengthOf = ({ log }: Program) => readFileSync(log, 'utf8').length;

/** When an agent has written, in wall time, that its peer is silent. */
async function noticed(agent: Program, from: number): Promise<number> {
  let at: number | undefined;
  await waitUntil('the agent notices', () => {
    const [line] = readFileSync(agent.log, 'utf8')
      .slice(from)
      .split('\n')
      .filter((each) => each.includes('nothing came from the peer'));
    if (line !== undefined) at = (JSON.parse(line) as { time: number }).time;
    return at !== undefined;
  });
  return at!;
}

function runs(...argv: [string, ...string[]]): boolean {
  try {
    execFileSync(argv[0], argv.slice(1), { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
