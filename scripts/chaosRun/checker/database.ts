/** The copy of the controller's database, by plain SQL: the checker knows the tables as anybody with the file would. */
import Sqlite from 'better-sqlite3';

export interface FinalReport {
  known: boolean;
  current?: string | null;
  running?: string | null;
  state?: string;
  hidden: boolean;
}

export interface RecapHost {
  host: string;
  ok: number;
  unreachable: number;
  failed: number;
  skipped: number;
  rescued: number;
  running: string | null;
}

export interface Recap {
  deployment: number;
  service: string;
  version: string | null;
  state: string;
  hosts: RecapHost[];
  failure: { code: string } | null;
  exit: number;
}

export interface Step {
  step: number;
  host: string;
  kind: string;
  rescue: boolean;
  outcome: string | null;
  /** Of a once step. */
  name: string | null;
  /** When it was begun for the first time; undefined where it never was. */
  begun: number | undefined;
}

export interface DeploymentHost {
  host: string;
  /** What it ran before. */
  prior: string | null;
  hiddenBefore: boolean;
  report: FinalReport | null;
}

export interface Deployment {
  id: number;
  kind: string;
  service: string;
  version: string | null;
  state: string;
  exit: number | null;
  begun: number;
  /** Infinity while it has not ended. */
  ended: number;
  retries: number | null;
  hosts: DeploymentHost[];
  steps: Step[];
  /** As it was told at the end. */
  recap: Recap | null;
}

export interface Database {
  deployments: Deployment[];
  points: Array<{ id: number; deployment: number; host: string; version: string; at: number }>;
  artifacts: Array<{ service: string; version: string }>;
  hidden: Array<{ host: string; deployment: number; reason: string }>;
  locks: Array<{ deployment: number }>;
  /** What SQLite itself finds wrong with the file. */
  damage: string[];
}

export const FINAL: ReadonlySet<string> = new Set(['succeeded', 'failed', 'restored', 'refused', 'aborted']);

interface DeploymentRow {
  id: number;
  kind: string;
  service: string;
  version: string | null;
  state: string;
  exit: number | null;
  request: string;
  started_at: string;
  ended_at: string | null;
}
interface HostRow {
  deployment: number;
  host: string;
  facts: string;
  report: string | null;
}
interface StepRow {
  deployment: number;
  step: number;
  host: string;
  kind: string;
  rescue: number;
  args: string;
  outcome: string | null;
}
interface Facts {
  prior: { version: string } | null;
  hiddenByFleet: boolean;
}
type FleetEvent =
  | { type: 'step.started'; step: number }
  | { type: 'deployment.ended'; recap: Recap }
  | { type: 'other' };

/** `moment`: from wall time in milliseconds to the record's clock. */
export function readDatabase(file: string, moment: (wall: number) => number): Database {
  const db = new Sqlite(file, { readonly: true, fileMustExist: true });
  try {
    const all = <T>(sql: string) => db.prepare(sql).all() as T[];
    const at = (iso: string) => moment(Date.parse(iso));
    const begun = new Map<string, number>();
    const recaps = new Map<number, Recap>();
    for (const row of all<{ topic: string; at: string; event: string }>(
      'select topic, at, event from events order by id',
    )) {
      const deployment = Number(/^deployment\/(\d+)$/.exec(row.topic)?.[1]);
      const event = JSON.parse(row.event) as FleetEvent;
      if (event.type === 'deployment.ended') recaps.set(deployment, event.recap);
      if (event.type !== 'step.started') continue;
      const key = `${deployment} ${event.step}`;
      if (!begun.has(key)) begun.set(key, at(row.at));
    }
    const hosts = Map.groupBy(
      all<HostRow>('select deployment, host, facts, report from deployment_hosts order by position'),
      (row) => row.deployment,
    );
    const steps = Map.groupBy(
      all<StepRow>('select deployment, step, host, kind, rescue, args, outcome from steps order by step'),
      (row) => row.deployment,
    );
    return {
      deployments: all<DeploymentRow>('select * from deployments order by id').map((row) => ({
        id: row.id,
        kind: row.kind,
        service: row.service,
        version: row.version,
        state: row.state,
        exit: row.exit,
        begun: at(row.started_at),
        ended: row.ended_at === null ? Number.POSITIVE_INFINITY : at(row.ended_at),
        retries: (JSON.parse(row.request) as { retries?: number }).retries ?? null,
        hosts: (hosts.get(row.id) ?? []).map(hostOf),
        steps: (steps.get(row.id) ?? []).map((step) => stepOf(step, begun.get(`${row.id} ${step.step}`))),
        recap: recaps.get(row.id) ?? null,
      })),
      points: all<{ id: number; deployment: number; host: string; version: string; at: string }>(
        'select id, deployment, host, version, at from rollback_points order by id',
      ).map((point) => ({ ...point, at: at(point.at) })),
      artifacts: all('select service, version from artifacts'),
      hidden: all('select host, deployment, reason from hidden'),
      locks: all('select deployment from locks'),
      damage: damageOf(db),
    };
  } finally {
    db.close();
  }
}

function hostOf({ host, facts, report }: HostRow): DeploymentHost {
  const { prior, hiddenByFleet } = JSON.parse(facts) as Facts;
  return {
    host,
    prior: prior?.version ?? null,
    hiddenBefore: hiddenByFleet,
    report: report === null ? null : (JSON.parse(report) as FinalReport),
  };
}

function stepOf(row: StepRow, begun: number | undefined): Step {
  const { step, host, kind, rescue, outcome } = row;
  const { name } = JSON.parse(row.args) as { name?: string };
  return { step, host, kind, rescue: rescue === 1, outcome, name: name ?? null, begun };
}

function damageOf(db: Sqlite.Database): string[] {
  const found = db.pragma('integrity_check') as Array<{ integrity_check: string }>;
  const foreign = db.pragma('foreign_key_check') as Array<{ table: string }>;
  return [
    ...found.map((row) => row.integrity_check).filter((text) => text !== 'ok'),
    ...foreign.map(({ table }) => `a row of ${table} refers to one that is not there`),
  ];
}
