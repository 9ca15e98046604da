/** A real controller and a real agent with a service that runs, for hostile input; and how all that should stay as it is is looked at. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { LocalFleet } from '../local/localFleet.ts';
import { changesBetween, type Found, survey } from './survey.ts';

export const SERVICE = 'web';
export const ENVIRONMENT = 'production';
export const HOST = 'web-1';
export const VERSION = '1.0.0';
const FLEET_YAML = `service: ${SERVICE}
run: { supervisor: process, command: [sleep, "100000"] }
`;
/** What hosts say of themselves, the record of what was refused, and what anybody may begin who is asked for nothing but a name. */
const RESTLESS = new Set(['hosts', 'audit', 'rehearsals']);

export interface State {
  tables: Map<string, string>;
  files: Found[];
}

export class FleetProgram {
  readonly fleet: LocalFleet;
  private constructor(fleet: LocalFleet) {
    this.fleet = fleet;
  }

  static async open(): Promise<FleetProgram> {
    const dir = mkdtempSync(join(tmpdir(), 'fleet-hostile-'));
    mkdirSync(join(dir, 'source'));
    writeFileSync(join(dir, 'source/fleet.yaml'), FLEET_YAML);
    const fleet = await LocalFleet.create({
      dir,
      hosts: [{ host: HOST, labels: { role: 'web' } }],
      config: `data: ./data
services: { ${SERVICE}: { source: { directory: ./source } } }
environments:
  ${ENVIRONMENT}: { services: { ${SERVICE}: { hosts: { role: web }, strategy: { settle: 0s } } } }
`,
    });
    const opened = new FleetProgram(fleet);
    try {
      await fleet.start();
      for (const argv of [
        ['build', SERVICE, '--version', VERSION],
        ['deploy', SERVICE, '--version', VERSION],
      ]) {
        const { code, stdout, stderr } = await fleet.run(argv);
        if (code !== 0) throw new Error(`fleet ${argv.join(' ')} ended with ${code}: ${stdout}${stderr}`);
      }
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  get dir(): string {
    return this.fleet.dir;
  }
  get url(): string {
    return this.fleet.url;
  }
  get agentUrl(): string {
    return this.fleet.url.replace(/^http/, 'ws');
  }

  /** Every table, and every file of the controller and below the host’s root that is no log, journal or database. */
  state(): State {
    const files = survey(this.dir, (path) =>
      /(^|\/)(fleet\.sqlite[^/]*|\.agent|[^/]*\.log|log|log\.1|state\.json)$/.test(path),
    );
    return { tables: this.#tables(), files };
  }

  #tables(): Map<string, string> {
    const database = new Sqlite(join(this.dir, 'data/fleet.sqlite'), { readonly: true });
    try {
      const names = database
        .prepare("select name from sqlite_master where type = 'table' order by name")
        .pluck()
        .all() as string[];
      return new Map(
        names
          .filter((name) => !RESTLESS.has(name) && !name.startsWith('sqlite_'))
          .map((name) => {
            const rows = database.prepare(`select * from "${name}"`).all() as Array<{ key?: string }>;
            return [
              name,
              `${rows.length} rows ${createHash('sha256')
                .update(JSON.stringify(rows.filter(({ key }) => key !== 'audit_head')))
                .digest('hex')}`,
            ];
          }),
      );
    } finally {
      database.close();
    }
  }

  /** What is no longer as it was. */
  changesSince(before: State): string[] {
    const now = this.state();
    const tables = [...now.tables].filter(([name, says]) => before.tables.get(name) !== says);
    return [
      ...tables.map(([name, says]) => `table ${name} is ${says}, was ${before.tables.get(name)}`),
      ...changesBetween(before.files, now.files),
    ];
  }

  /** Why it is not well; undefined where both programs live, and what they do for others goes on. */
  async complaint(version = VERSION): Promise<string | undefined> {
    for (const program of [this.fleet.controller, ...this.fleet.agents.values()])
      if (program?.running() !== true)
        return `a program has ended: ${program && readFileSync(program.log, 'utf8').slice(-2000)}`;
    const response = await fetch(`${this.url}/api/status`);
    const { services } = (await response.json()) as {
      services: Array<{ hosts: Array<{ host: string; connected: boolean; running: string; state: string }> }>;
    };
    const host = services[0]?.hosts.find((each) => each.host === HOST);
    if (host?.connected !== true || host.running !== version || host.state !== 'running')
      return `${HOST} is ${JSON.stringify(host)}`;
    return undefined;
  }

  /** Bytes of memory of the controller. */
  memory(): number {
    const status = readFileSync(`/proc/${this.fleet.controller?.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  }

  async close(): Promise<void> {
    await this.fleet.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
