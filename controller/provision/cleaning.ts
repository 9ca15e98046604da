/** `fleet hosts clean`: off a host again what `fleet hosts add` has put there. */
import { loginOf, reachController } from '@fleet/cli/reach.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Flags } from './flags.ts';
import type { Operator } from './operator.ts';
import { overSsh } from './overSsh.ts';
import { performByRoot } from './perform.ts';
import { lookForTraces, planRemoval } from './removal.ts';
import type { Root } from './root.ts';
import type { Report, Saying } from './tell.ts';
import type { Work } from './work.ts';

export async function cleaning(flags: Flags, operator: Operator): Promise<Work> {
  const members = flags.anyway ? new Set<string>() : await membersOf(flags, operator);
  return {
    title: `hosts clean${flags['dry-run'] ? ', a dry run' : ''}`,
    async each(named, report, saying) {
      if (members.has(named.host)) {
        report.failure = new FleetError('name_in_use', `${named.host} is still a host of this fleet`, {
          next: `fleet hosts remove ${named.host}, then again; or --anyway, where it should not be taken out first`,
          data: { host: named.host },
        });
        return;
      }
      const target = { ...named, port: flags.port ?? 22, user: flags.user ?? 'root' };
      await overSsh(target, operator, report, (root) => cleanHost(root, flags, operator, report, saying));
    },
  };
}

async function cleanHost(
  root: Root,
  flags: Flags,
  { stopped }: Operator,
  report: Report,
  saying: Saying,
): Promise<FleetError | undefined> {
  const traces = await lookForTraces(root);
  const acts = planRemoval(traces, flags['with-data']);
  if (traces.shared.length > 0 && !flags['with-data'])
    report.notes.push(
      `data of ${traces.shared.join(', ')} stays, and users to whom it belongs: --with-data removes it, too`,
    );
  if (acts.length === 0) report.notes.push('nothing of fleet is on it');
  report.held = 1;
  if (flags['dry-run']) {
    for (const act of acts) saying.would(act);
    return undefined;
  }
  return performByRoot(acts, { root, tell: saying, signal: stopped });
}

/** Throws what the controller says. */
async function membersOf(flags: Flags, { stopped }: Operator): Promise<Set<string>> {
  if (loginOf(process.env) === undefined && flags.controller === undefined) return new Set();
  const client = reachController({ environment: process.env, stopped }, flags);
  try {
    const [hosts, identities] = [
      await client.call('hosts.list', {}),
      await client.call('identities.list', {}),
    ];
    const living = identities.filter(({ state }) => state === 'active' || state === 'waiting');
    return new Set([...hosts, ...living].map(({ host }) => host));
  } catch (thrown) {
    const { code, message, data, cause } = asFleetError(thrown);
    throw new FleetError(code, `${message}; so whether they are still hosts of it is not known`, {
      next: 'again with --anyway, where they should be cleaned without it',
      data,
      cause,
    });
  }
}
