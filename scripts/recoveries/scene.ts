/** What is harmed: a fleet of three local hosts behind the embedded balancer, with two versions that differ in their number alone. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '@fleet/cli/client.ts';
import { readMessages } from '@fleet/cli/sse.ts';
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import { type Envelope, envelope } from '@fleet/protocol/api/events.ts';
import { LocalFleet } from '../local/localFleet.ts';
import { freePorts } from '../local/ports.ts';
import { waitUntil } from '../local/program.ts';

export const HOSTS = ['a', 'b', 'c'] as const;
export const SERVICE = 'sample';
const SAMPLE = join(import.meta.dirname, '../benchmarks/sample');

export class Scene {
  readonly fleet: LocalFleet;
  readonly client: Client;
  /** A line for each time that the slow start hook has begun, with the moment. */
  readonly #hookLog: string;
  readonly #ending = new AbortController();
  #version = 1;

  private constructor(fleet: LocalFleet, hookLog: string) {
    this.fleet = fleet;
    this.#hookLog = hookLog;
    this.client = createClient({ controller: fleet.url, by: 'recovery', signal: this.#ending.signal });
  }

  static async start(): Promise<Scene> {
    const dir = mkdtempSync(join(tmpdir(), 'fleet-recovery-'));
    const hookLog = join(dir, 'hooks.log');
    writeFileSync(hookLog, '');
    const source = join(dir, 'source');
    mkdirSync(source);
    cpSync(SAMPLE, source, { recursive: true });
    const [front = 0, ...ports] = await freePorts(1 + HOSTS.length);
    const fleet = await LocalFleet.create({
      dir,
      hosts: HOSTS.map((host, index) => ({ host, labels: { role: 'web', port: ports[index]! } })),
      config: config(source, front),
    });
    const scene = new Scene(fleet, hookLog);
    try {
      await fleet.start();
      for (const version of ['1.0.0', '2.0.0']) {
        writeFileSync(join(source, 'version'), version);
        writeFileSync(join(source, 'fleet.yaml'), recipe(hookLog));
        await scene.#run('build', SERVICE, '--version', version);
      }
      await scene.#run('deploy', SERVICE, '--version', '1.0.0');
      return scene;
    } catch (error) {
      await scene.stop();
      throw error;
    }
  }

  async #run(...argv: string[]): Promise<void> {
    const { code, stdout, stderr } = await this.fleet.run(argv);
    if (code !== 0) throw new Error(`fleet ${argv.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  }

  /** The version that does not run: each call gives the other one. */
  otherVersion(): string {
    this.#version = 3 - this.#version;
    return `${this.#version}.0.0`;
  }

  async deploy(hosts?: string[]): Promise<number> {
    const body = { service: SERVICE, version: this.otherVersion(), hosts };
    return (await this.client.call('deployments.start', { body })).id;
  }

  async steps(id: number): Promise<StepRow[]> {
    return (await this.client.call('deployments.show', { params: { id } })).steps;
  }

  /** All that was told of a deployment that has ended, or will. */
  async events(id: number): Promise<Envelope[]> {
    const leave = new AbortController();
    const told: Envelope[] = [];
    try {
      for await (const { data } of readMessages(
        await this.client.openEvents(`deployment/${id}`, 0, leave.signal),
        () => {},
      )) {
        const event = envelope.parse(JSON.parse(data));
        told.push(event);
        if (event.event.type === 'deployment.ended') break;
      }
    } finally {
      leave.abort();
    }
    return told;
  }

  /** Waits for the end. Throws where it did not end well. */
  async succeeded(id: number): Promise<Envelope[]> {
    const events = await this.events(id);
    const { deployment } = await this.client.call('deployments.show', { params: { id } });
    if (deployment.state !== 'succeeded')
      throw new Error(`deployment ${id} ${deployment.state}:\n${JSON.stringify(events.slice(-5), null, 2)}`);
    return events;
  }

  /** Moments at which the slow start hook has begun, in milliseconds of wall time. */
  hooksBegun(): number[] {
    return readFileSync(this.#hookLog, 'utf8').split('\n').filter(Boolean).map(Number);
  }

  async connected(): Promise<string[]> {
    const hosts = await this.client.call('hosts.list', {});
    return hosts.filter((each) => each.connected).map((each) => each.host);
  }

  allConnected(): Promise<void> {
    return waitUntil(
      'every agent is connected',
      async () => (await this.connected()).length === HOSTS.length,
    );
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.fleet.stop();
    this.fleet.remove();
  }
}

function recipe(hookLog: string): string {
  return `service: ${SERVICE}
variables: { PORT: {} }
run:
  supervisor: process
  command: [node, server.mjs]
  environment: { PORT: "\${PORT}" }
hooks:
  before_start: { command: [sh, -c, "date +%s%3N >> ${hookLog}; sleep 0.2"], repeatable: true }
smoke:
  - { name: answers, kind: http, port: "\${PORT}", contains: "\${VERSION}", interval: 20ms }
`;
}

function config(source: string, front: number): string {
  return `data: ./data
services:
  ${SERVICE}: { source: { directory: ${source} } }
balancers:
  front: { kind: embedded, listen: "127.0.0.1:${front}" }
environments:
  production:
    services:
      ${SERVICE}:
        hosts: { role: web }
        balancer: { name: front, backend: ${SERVICE}, address: "127.0.0.1:{label.port}" }
        strategy: { settle: 0s, drain: 1s }
        values: { PORT: { label: port } }
`;
}
