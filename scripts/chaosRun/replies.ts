/** What a run needs of the replies of `fleet status --json` and of recaps; read with care, for the checker judges them. */

export interface Running {
  deployment: number;
  state: string;
}

export interface ServiceStatus {
  version: string | null;
  running: Running | null;
  hosts: Array<{
    host: string;
    connected: boolean;
    running: string | null;
    state: string;
    balancer: string | null;
  }>;
}

/** Of the one service of a run; undefined where the call did not answer. */
export function serviceIn(status: unknown): ServiceStatus | undefined {
  return (status as { services?: ServiceStatus[] } | null)?.services?.[0];
}

/** The number of the deployment that a recap or an acceptance tells of. */
export function deploymentIn(json: unknown): number | undefined {
  const reply = json as { deployment?: number; id?: number } | null;
  return reply?.deployment ?? reply?.id ?? undefined;
}
