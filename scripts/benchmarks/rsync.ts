/** The same deployments by fleet and by rsync-deploy.sh, in turns. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Program, startProgram } from '../local/program.ts';
import { ownRestart } from './application.ts';
import { ratios, type Section } from './figures.ts';
import { overheadOf } from './overhead.ts';
import { build, type Deployed, deploy, HOSTS, type Host, type Scene, type Service } from './scene.ts';
import type { Sshd } from './sshd.ts';

const SCRIPT = join(import.meta.dirname, 'rsync-deploy.sh');

/** Every round deploys a version that the hosts do not have; only a few bytes of it are new. */
export async function compareWithRsync(
  scene: Scene,
  service: Service,
  sshd: Sshd,
  rounds: number,
): Promise<{ comparison: Section; overhead: Section }> {
  const script = await prepareScript(scene, service, sshd);
  await build(scene, service, '1.0.0');
  await deploy(scene, ['deploy', service.name, '--version', '1.0.0']);
  await script.deploy('1.0.0');

  const ours: Deployed[] = [];
  const [cold, warm, own]: [number[], number[], number[]] = [[], [], []];
  for (let round = 1; round <= rounds; round++) {
    const version = `1.0.${round}`;
    await build(scene, service, version);
    own.push(await ownRestart());
    ours.push(await deploy(scene, ['deploy', service.name, '--serial', '--version', version]));
    sshd.disconnect();
    cold.push(await script.deploy(version));
    warm.push(await script.deploy(`${version}-again`));
  }
  const walls = ours.map(({ wallMs }) => wallMs);
  return {
    overhead: overheadOf(service, ours, own),
    comparison: {
      title: `Serial deployment of ${sizeOf(service)} to ${HOSTS.length} hosts behind HAProxy, beside rsync and ssh`,
      figures: [
        { what: 'fleet deploy, from start to exit', unit: 'ms', values: walls },
        { what: 'rsync-deploy.sh', unit: 'ms', values: cold },
        { what: 'rsync-deploy.sh, its connections open already', unit: 'ms', values: warm },
        { what: 'fleet / script', unit: 'times', values: ratios(walls, cold) },
        { what: 'fleet / script with open connections', unit: 'times', values: ratios(walls, warm) },
      ],
      notes: [stagingOf(ours)],
    },
  };
}

async function prepareScript(scene: Scene, service: Service, sshd: Sshd) {
  const home = join(scene.dir, 'script', service.name);
  const ports = scene.scriptPorts.get(service.name)!;
  const rootOf = (host: Host) => join(home, host);
  for (const host of HOSTS) mkdirSync(rootOf(host), { recursive: true });
  const settings = join(home, 'settings');
  const table = (of: (host: Host) => string | number) =>
    HOSTS.map((host) => `[${host}]=${of(host)}`).join(' ');
  writeFileSync(
    settings,
    `ssh_config=${sshd.config}
haproxy=${scene.haproxy!.address.replace(':', '/')}
backend=${service.name}-script
hosts=(${HOSTS.join(' ')})
declare -A root=(${table(rootOf)}) port=(${table((host) => ports[host])})
program=(node server.mjs)
`,
  );
  let running: Program | undefined;
  scene.alongside.push(async () => {
    await running?.stop();
    for (const host of HOSTS) endWhatRuns(join(rootOf(host), 'pid'));
  });
  return {
    /** Milliseconds. */
    async deploy(version: string): Promise<number> {
      writeFileSync(join(service.dir, 'version'), version);
      const log = join(home, 'log');
      const from = performance.now();
      running = startProgram(['bash', SCRIPT, settings, service.dir, version], { cwd: home, log });
      const code = await running.ended;
      const ms = performance.now() - from;
      if (code !== 0) throw new Error(`rsync-deploy.sh ended with ${code}:\n${readFileSync(log, 'utf8')}`);
      return ms;
    },
  };
}

/** The services that the script started are nobody's children. */
function endWhatRuns(pidFile: string): void {
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGTERM');
  } catch {
    // It was never started, or has ended.
  }
}

function sizeOf({ name }: Service): string {
  return name === 'large' ? 'a release of Node-RED’s size' : 'a small release';
}

function stagingOf(deployments: Deployed[]): string {
  const staged = deployments.at(-1)!.steps.filter((step) => step.kind === 'stage');
  return `The last of fleet’s stagings: ${staged.map((step) => `${step.host}: ${step.message}`).join('; ')}.`;
}
