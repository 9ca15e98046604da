/** What is measured: a fleet of three local hosts, on which the sample application runs behind a balancer, as several services. */
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DeploymentRow, list, type StepRow, show } from '@fleet/protocol/api/deployments.ts';
import { LocalFleet } from '../local/localFleet.ts';
import { freePorts } from '../local/ports.ts';
import { type Haproxy, startHaproxy } from './haproxy.ts';

export const HOSTS = ['a', 'b', 'c'] as const;
export type Host = (typeof HOSTS)[number];
export const SAMPLE = join(import.meta.dirname, 'sample');

export interface Service {
  name: string;
  /** Its source: what is to be deployed next lies here. */
  dir: string;
  ports: Record<Host, number>;
  behind: 'haproxy' | 'embedded';
}

export interface Deployed {
  /** Of the command, from its start to its exit. */
  wallMs: number;
  deployment: DeploymentRow;
  steps: StepRow[];
}

export interface Scene {
  dir: string;
  fleet: LocalFleet;
  services: Service[];
  /** Its backends are called like the services, and for each there is a second one, `NAME-script`, for hosts of a script. */
  haproxy: Haproxy | null;
  scriptPorts: Map<string, Record<Host, number>>;
  /** Ends what was started beside the fleet, before the fleet. */
  alongside: Array<() => Promise<void>>;
  stop(): Promise<void>;
}

/** `large` is a tree that makes a service's artifact as large as a real one's. */
export async function startScene(options: { haproxy: boolean; large: string | null }): Promise<Scene> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-bench-'));
  const services = [await makeService(dir, 'embedded', 'embedded', null)];
  if (options.haproxy) services.push(await makeService(dir, 'small', 'haproxy', null));
  if (options.haproxy && options.large !== null)
    services.push(await makeService(dir, 'large', 'haproxy', options.large));
  const behindHaproxy = services.filter(({ behind }) => behind === 'haproxy');
  const scriptPorts = new Map<string, Record<Host, number>>();
  for (const { name } of behindHaproxy) scriptPorts.set(name, await portForEach());
  const haproxy = options.haproxy
    ? await startHaproxy(
        dir,
        behindHaproxy.flatMap(({ name, ports }) => [
          { name, servers: serversOf(ports) },
          { name: `${name}-script`, servers: serversOf(scriptPorts.get(name)!) },
        ]),
      )
    : null;
  const fleet = await LocalFleet.create({
    dir,
    hosts: HOSTS.map((host) => ({
      host,
      labels: {
        role: 'bench',
        ...Object.fromEntries(services.map(({ name, ports }) => [name, ports[host]])),
      },
    })),
    config: await configOf(services, haproxy),
    // Its first start finds nothing compiled, every later one finds everything.
    env: { XDG_CACHE_HOME: join(dir, 'cache') },
  });
  const alongside: Scene['alongside'] = [];
  const stop = async () => {
    for (const end of alongside) await end();
    await fleet.stop();
    await haproxy?.program.stop();
    fleet.remove();
  };
  return { dir, fleet, services, haproxy, scriptPorts, alongside, stop };
}

async function makeService(
  dir: string,
  name: string,
  behind: Service['behind'],
  tree: string | null,
): Promise<Service> {
  const source = join(dir, 'sources', name);
  mkdirSync(source, { recursive: true });
  cpSync(SAMPLE, source, { recursive: true });
  if (tree !== null) cpSync(tree, join(source, 'tree'), { recursive: true, verbatimSymlinks: true });
  writeFileSync(
    join(source, 'fleet.yaml'),
    `service: ${name}
variables: { PORT: {} }
run:
  supervisor: process
  command: [node, server.mjs]
  environment: { PORT: "\${PORT}" }
smoke:
  - { name: answers, kind: http, port: "\${PORT}", contains: "\${VERSION}" }
`,
  );
  return { name, dir: source, behind, ports: await portForEach() };
}

async function portForEach(): Promise<Record<Host, number>> {
  const [a = 0, b = 0, c = 0] = await freePorts(HOSTS.length);
  return { a, b, c };
}

function serversOf(ports: Record<Host, number>) {
  return HOSTS.map((name) => ({ name, port: ports[name] }));
}

async function configOf(services: Service[], haproxy: Haproxy | null): Promise<string> {
  const [front = 0] = await freePorts(1);
  const lines = ['data: ./data', 'services:'];
  for (const { name, dir } of services) lines.push(`  ${name}: { source: { directory: ${dir} } }`);
  lines.push('balancers:', `  embedded: { kind: embedded, listen: "127.0.0.1:${front}" }`);
  if (haproxy) lines.push(`  haproxy: { kind: haproxy, address: "${haproxy.address}" }`);
  lines.push('environments:', '  production:', '    services:');
  for (const { name, behind } of services) {
    const address = behind === 'embedded' ? `, address: "127.0.0.1:{label.${name}}"` : '';
    lines.push(
      `      ${name}:`,
      // Every host has a port for every service: a label that all of them bear selects them all.
      `        hosts: { role: bench }`,
      `        balancer: { name: ${behind}, backend: ${name}${address} }`,
      '        strategy: { settle: 0s }',
      `        values: { PORT: { label: ${name} } }`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Makes `version` from the service's folder, with nothing else changed. */
export async function build({ fleet }: Scene, service: Service, version: string): Promise<void> {
  writeFileSync(join(service.dir, 'version'), version);
  await mustRun(fleet, ['build', service.name, '--version', version]);
}

/** `fleet` with these arguments, which start a deployment, from the start of the command to its exit. */
export async function deploy({ fleet }: Scene, argv: string[]): Promise<Deployed> {
  const from = performance.now();
  await mustRun(fleet, argv);
  const wallMs = performance.now() - from;
  const [{ id } = { id: 0 }] = list.reply.parse(await get(`${fleet.url}/api/deployments?limit=1`));
  const { deployment, steps } = show.reply.parse(await get(`${fleet.url}/api/deployments/${id}`));
  return { wallMs, deployment, steps };
}

async function get(url: string): Promise<unknown> {
  return (await fetch(url)).json();
}

async function mustRun(fleet: LocalFleet, argv: string[]): Promise<void> {
  const { code, stdout, stderr } = await fleet.run(argv);
  if (code !== 0) throw new Error(`fleet ${argv.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
}
