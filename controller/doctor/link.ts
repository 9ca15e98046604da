/** The link to a host, or what can be said from here of one that has none. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { AGENT_UNIT } from '@fleet/units/places.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { IdentityRecord } from '../store/identities.ts';
import { agentDoctor } from './onHost.ts';
import type { Surgery } from './surgery.ts';

const ANSWER_MS = 5000;
const TRIES = 3;
/** Of two clocks: less is a slow line. */
const APART_MS = 2000;
/** Further off, a host gets no certificate any more once its own has ended. */
const TOO_FAR_MS = 5 * 60_000;
const SSH = 22;

/** How long a message takes there and back, at best, and how far the clocks are apart. */
export async function lookAtLink({ agents, now }: Surgery, host: string): Promise<Finding[]> {
  let best = { ms: Number.POSITIVE_INFINITY, apart: 0 };
  try {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const [sent, began] = [now(), performance.now()];
      const { at } = await agents.ask(host, 'host.time', {}, { timeoutMs: ANSWER_MS });
      const ms = performance.now() - began;
      if (ms < best.ms) best = { ms, apart: at - (sent + ms / 2) };
    }
  } catch (error) {
    const { code, message } = asFleetError(error);
    if (code === 'unknown_method')
      return [warn('link', 'connected; its agent is too old to be asked more', 'fleet agents upgrade')];
    return [bad('link', `connected, and does not answer: ${message}`, `on ${host}: ${agentDoctor()}`)];
  }
  return [ok('link', `connected, there and back in ${best.ms.toFixed(1)} ms`), clock(host, best)];
}

function clock(host: string, { ms, apart }: { ms: number; apart: number }): Finding {
  const off = Math.abs(apart);
  if (off <= APART_MS + ms) return ok('clock', `as this controller’s, within ${Math.ceil(off + ms / 2)} ms`);
  const says = `${(off / 1000).toFixed(1)} s ${apart > 0 ? 'ahead of' : 'behind'} this controller’s`;
  const next = `on ${host}: timedatectl set-ntp true; if the host is right, the same here`;
  return off > TOO_FAR_MS ? bad('clock', says, next) : warn('clock', says, next);
}

/** Of a host that is not connected: when it was, and whether its machine answers. */
export async function lookFromHere({ host, lastSeen, labels }: HostRecord): Promise<Finding[]> {
  const silent = bad(
    'link',
    `not connected; last seen ${lastSeen}`,
    `on ${host}: systemctl status ${AGENT_UNIT}; journalctl -u ${AGENT_UNIT} -n 50; ${agentDoctor()}`,
  );
  const address = labels.address;
  if (address === undefined) return [silent];
  const answer = await knock(address);
  const machine = answer
    ? ok('machine', `${address} answers (${answer} on port ${SSH}): it is up, and can be reached from here`)
    : bad(
        'machine',
        `nothing comes back from ${address}: it is down, or a firewall is between`,
        `ping ${address}; else look at its console`,
      );
  return [silent, machine];
}

/** A refusal is an answer, too: somebody is there. */
async function knock(host: string): Promise<string | undefined> {
  const socket = connect({ host, port: SSH, timeout: ANSWER_MS });
  try {
    socket.once('timeout', () => socket.destroy(new Error('timeout')));
    await once(socket, 'connect');
    return 'open';
  } catch (error) {
    const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
    return refused ? 'refused' : undefined;
  } finally {
    socket.destroy();
  }
}

/** What the controller's own books say of a host's certificate. Undefined in development. */
export function lookAtIdentity(host: string, identities: IdentityRecord[], now: number): Finding | undefined {
  const newest = identities.filter((each) => each.host === host).at(-1);
  const about = 'identity';
  if (newest === undefined) return undefined;
  const { state, expiresAt, endedAt, endedBy, key } = newest;
  const again = `to let it join anew: fleet token create --host ${host}, then fleet agent join --again on ${host}`;
  if (state === 'waiting')
    return bad(about, 'it waits to be let in', `is its key ${key.slice(0, 16)}? fleet hosts approve ${host}`);
  if (state !== 'active') return bad(about, `it was ${state} at ${endedAt} by ${endedBy}`, again);
  const ended = expiresAt !== null && Date.parse(expiresAt) <= now;
  if (ended)
    return warn(
      about,
      `its certificate ended at ${expiresAt}`,
      `its agent gets another by itself until 30 days later; ${again}`,
    );
  return ok(about, `joined, its certificate holds until ${expiresAt}`);
}
