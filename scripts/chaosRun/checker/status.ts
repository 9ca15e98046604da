/** The answers of `fleet status|hosts|history --json`, as far as they are judged. What is not of that form counts as absent. */
export interface StatusHost {
  host: string;
  connected: boolean;
  running: string | null;
  state: string;
  note: string | null;
}

interface Status {
  services: Array<{ running: { deployment: number; state: string } | null; hosts: StatusHost[] }>;
}

function listOf<T>(value: unknown): T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

function servicesOf(status: unknown): Status['services'] {
  return listOf((status as Partial<Status> | null)?.services);
}

export function statusHosts(status: unknown): StatusHost[] {
  return servicesOf(status).flatMap(({ hosts }) => listOf<StatusHost>(hosts));
}

/** Deployments that are under way. */
export function underWay(status: unknown): Array<{ deployment: number; state: string }> {
  return servicesOf(status).flatMap(({ running }) => (running === null ? [] : [running]));
}

export function connections(hosts: unknown): Array<{ host: string; connected: boolean }> {
  return listOf(hosts);
}

export interface HistoryRow {
  id: number;
  state: string;
  exit: number | null;
}

export function historyRows(history: unknown): HistoryRow[] {
  return listOf(history);
}
