/** I11: exit statuses of the calls, beside what their recaps say and what the database keeps. */
import { wasFaulty } from '../circumstances.ts';
import type { Deployment, Recap } from '../database.ts';
import type { Call, Evidence } from '../read.ts';
import type { Violation } from '../violation.ts';
import { isGreen } from './recaps.ts';

/** A call has its stated deadline, and this long to end after it. */
const GRACE = 10_000;
const WATCHES: ReadonlySet<string> = new Set(['deploy', 'rollback', 'retry', 'attach']);

export function calls(evidence: Evidence): Violation[] {
  const ended = evidence.calls.flatMap((call) =>
    judge(evidence, call).map(
      (what): Violation => ({
        id: 'I11',
        at: Math.min(call.to, evidence.end),
        what: `${call.argv.join(' ')}: ${what}`,
      }),
    ),
  );
  return [...ended, ...retries(evidence)];
}

function judge(evidence: Evidence, call: Call): string[] {
  const { from, to, deadlineMs, exit, killed } = call;
  const took = Math.min(to, evidence.end) - from;
  const found: string[] = [];
  if (took > deadlineMs + GRACE)
    found.push(`took ${Math.round(took / 1000)}s, and its deadline is ${deadlineMs / 1000}s`);
  if (killed || to === Number.POSITIVE_INFINITY) return found;
  if (exit === null) found.push('was ended by a signal that nobody sent');
  const controller = [
    'controller.kill',
    'controller.stop',
    'controller.freeze',
    'store.full',
    'store.locked',
  ] as const;
  const wasThere = evidence.calls.some((other) => other.to < from && other.exit === 0);
  if (exit === 4 && wasThere && !wasFaulty(evidence, controller, from - GRACE, to))
    found.push('found no controller, and no fault held it');
  const recap = recapOf(call.json);
  return recap === null ? found : [...found, ...compare(evidence, call, recap)];
}

/** `fleet deploy --json` prints the recap, `fleet recap --json` has it beside the steps. */
export function recapOf(json: unknown): Recap | null {
  if (typeof json !== 'object' || json === null) return null;
  const recap = 'recap' in json ? json.recap : json;
  const isRecap =
    typeof recap === 'object' &&
    recap !== null &&
    'deployment' in recap &&
    'hosts' in recap &&
    'exit' in recap;
  return isRecap ? (recap as Recap) : null;
}

function compare({ run, database }: Evidence, call: Call, recap: Recap): string[] {
  const found: string[] = [];
  const { exit } = call;
  if (exit !== recap.exit) found.push(`exit status ${exit}, and its recap says ${recap.exit}`);
  const bad = recap.hosts.filter((host) => !isGreen(host, recap.version)).map(({ host }) => host);
  const green = recap.hosts.length > 0 && bad.length === 0 && recap.failure === null;
  if (exit === 0 && !green)
    found.push(`exit status 0, and not verified: ${bad.join(', ') || 'it has no host, or a failure'}`);
  if (exit !== 0 && green && recap.state !== 'running')
    found.push(`exit status ${exit}, and every host is verified`);
  if (call.verb === 'deploy' && recap.hosts.length > 0) {
    const missing = targets(call, run.hosts).filter(
      (host) => !recap.hosts.some((each) => each.host === host),
    );
    if (missing.length > 0) found.push(`its recap leaves out ${missing.join(', ')}`);
  }
  const kept = database.deployments.find(({ id }) => id === recap.deployment);
  if (WATCHES.has(call.verb) && kept?.exit !== undefined && kept.exit !== null && kept.exit !== exit)
    found.push(`exit status ${exit}, and deployment ${kept.id} ended with ${kept.exit}`);
  return found;
}

/** What `--host` names; every host without it. Of patterns and roles nothing is said. */
function targets({ argv }: Call, all: readonly string[]): readonly string[] {
  if (argv.some((word) => word === '--role' || /[*?]/.test(word))) return [];
  const named = argv.flatMap((word, index) => (argv[index - 1] === '--host' ? word.split(',') : []));
  return named.length > 0 ? named : all;
}

/** A retry has just the hosts that did not succeed. */
function retries({ database }: Evidence): Violation[] {
  return database.deployments.flatMap((retry): Violation[] => {
    const of = database.deployments.find(({ id }) => id === retry.retries);
    if (of === undefined || retry.hosts.length === 0) return [];
    const done = retry.hosts.filter(({ host }) => succeeded(of, host)).map(({ host }) => host);
    if (done.length === 0) return [];
    const what = `deployment ${retry.id} retries ${of.id} on ${done.join(', ')}, which had succeeded`;
    return [{ id: 'I11', at: retry.begun, what }];
  });
}

function succeeded(deployment: Deployment, host: string): boolean {
  const told = deployment.recap?.hosts.find((each) => each.host === host);
  const report = deployment.hosts.find((each) => each.host === host)?.report;
  return told !== undefined && isGreen(told, deployment.version) && report?.current === deployment.version;
}
