/** What the tool adds to a restart of the application: in a serial deployment, and in a rollback of one host. */
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import { ownRestart } from './application.ts';
import { type Figure, median, type Section } from './figures.ts';
import { build, type Deployed, deploy, HOSTS, type Scene, type Service } from './scene.ts';

const KINDS = ['hide', 'drain', 'activate', 'restart', 'smoke', 'unhide', 'record'] as const;

/** `deployments` are serial ones to all hosts, and `own[i]` is what the application took by hand just before the i-th. */
export function overheadOf(service: Service, deployments: Deployed[], own: number[]): Section {
  const part = deployments.map((each) => hostsPart(each.steps) / HOSTS.length);
  const whole = deployments.map((each) => wholeMs(each) / HOSTS.length);
  return {
    title: `Serial deployment to ${HOSTS.length} hosts behind ${nameOf(service)}: what the tool adds, a host`,
    figures: [
      { what: 'hide to record, less the application', unit: 'ms', values: less(part, own), goal: 250 },
      { what: 'whole deployment, less the application', unit: 'ms', values: less(whole, own), goal: 250 },
      { what: 'the application: stop, start, answer', unit: 'ms', values: own },
      ...waiting(service, deployments),
    ],
    notes: [whereItGoes(deployments)],
  };
}

export async function measureOverhead(scene: Scene, service: Service, rounds: number): Promise<Section> {
  await build(scene, service, '1.0.0');
  await deploy(scene, ['deploy', service.name, '--version', '1.0.0']);
  const deployments: Deployed[] = [];
  const own: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    await build(scene, service, `1.0.${round}`);
    own.push(await ownRestart());
    deployments.push(await deploy(scene, ['deploy', service.name, '--serial', '--version', `1.0.${round}`]));
  }
  return overheadOf(service, deployments, own);
}

/** Between two versions that are both on the host, there and back. */
export async function measureRollback(scene: Scene, service: Service, rounds: number): Promise<Section> {
  await build(scene, service, '2.0.0');
  await deploy(scene, ['deploy', service.name, '--version', '2.0.0']);
  await build(scene, service, '2.0.1');
  await deploy(scene, ['deploy', service.name, '--version', '2.0.1']);
  const rollbacks: Deployed[] = [];
  const own: number[] = [];
  for (let round = 0; round < rounds; round++) {
    own.push(await ownRestart());
    const to = round % 2 === 0 ? '2.0.0' : '2.0.1';
    rollbacks.push(await deploy(scene, ['rollback', service.name, '--host', HOSTS[0], '--to', to, '-y']));
  }
  const part = rollbacks.map((each) => hostsPart(each.steps));
  return {
    title: `Rollback of one host behind ${nameOf(service)}, the release on its disk: what the tool adds`,
    figures: [
      { what: 'hide to record, less the application', unit: 'ms', values: less(part, own), goal: 150 },
      {
        what: 'whole rollback, less the application',
        unit: 'ms',
        values: less(rollbacks.map(wholeMs), own),
        goal: 150,
      },
      {
        what: 'the switch itself',
        unit: 'ms',
        values: rollbacks.map((each) => switchMs(each.steps)),
        goal: 10,
      },
      { what: 'the application: stop, start, answer', unit: 'ms', values: own },
      ...waiting(service, rollbacks),
    ],
    notes: [whereItGoes(rollbacks)],
  };
}

/** From the start of the first host's first step to the end of the last host's last one; staging was before. */
function hostsPart(steps: StepRow[]): number {
  const rolling = steps.filter((step) => step.kind !== 'stage');
  const [first, last] = [rolling[0]!, rolling.at(-1)!];
  return Date.parse(last.startedAt!) + last.ms! - Date.parse(first.startedAt!);
}

/** As the controller has it: from the request to the recap, with resolving, planning and staging. */
function wholeMs({ deployment }: Deployed): number {
  return Date.parse(deployment.endedAt!) - Date.parse(deployment.startedAt);
}

function less(walls: number[], own: number[]): number[] {
  return walls.map((wall, round) => wall - own[round]!);
}

function switchMs(steps: StepRow[]): number {
  const { message } = steps.find((step) => step.kind === 'activate')!;
  return Number(/in ([\d.]+)ms$/.exec(message ?? '')![1]);
}

/** Neither the tool's time nor the application's; in the figures above it is counted as the tool's. */
function waiting({ behind }: Service, deployments: Deployed[]): Figure[] {
  if (behind !== 'haproxy') return [];
  const values = deployments.map(({ steps }) => meanOf(steps, 'unhide'));
  return [{ what: 'unhide: until HAProxy’s own check has passed', unit: 'ms', values }];
}

function whereItGoes(deployments: Deployed[]): string {
  const parts = KINDS.map(
    (kind) => `${kind} ${median(deployments.map(({ steps }) => meanOf(steps, kind))).toFixed(0)}`,
  );
  const between = deployments.map(({ steps }) => {
    const hosts = steps.filter((step) => step.kind === 'record').length;
    const inSteps = steps.filter((step) => step.kind !== 'stage').reduce((sum, step) => sum + step.ms!, 0);
    return (hostsPart(steps) - inSteps) / hosts;
  });
  return `Where a host’s time goes, the application’s included, in ms: ${parts.join(', ')}, between the steps ${median(between).toFixed(0)}.`;
}

function meanOf(steps: StepRow[], kind: StepRow['kind']): number {
  const times = steps.filter((step) => step.kind === kind).map((step) => step.ms!);
  return times.reduce((sum, ms) => sum + ms, 0) / times.length;
}

function nameOf({ behind }: Service): string {
  return behind === 'haproxy' ? 'HAProxy' : 'the embedded balancer';
}
