/** How a host joins: with a token for it alone, which is good for nothing any more when this has ended, however it ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@fleet/cli/client.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Labels } from '@fleet/protocol/words.ts';
import { AGENT_UNIT } from '@fleet/units/places.ts';
import type { Join } from './acts.ts';
import type { Root } from './root.ts';

const TOKEN_MS = 10 * 60_000;
const JOIN_MS = 60_000;
const CONNECTED_MS = 60_000;
const LOOK_MS = 250;

export interface Joining {
  /** Throws what the host or the controller says, `ssh_lost`: then nobody has joined. */
  join(root: Root, act: Join): Promise<void>;
  /** Throws `unreachable`, with what the agent printed. */
  untilConnected(root: Root): Promise<void>;
}

export interface JoiningOptions {
  client: Client;
  host: string;
  labels: Labels;
  /** The people's endpoint, as the host reaches it. */
  url: string;
}

export function joiningOf({ client, host, labels, url }: JoiningOptions): Joining {
  return {
    async join(root, { script, args }) {
      const body = { labels, host, uses: 1, ttlMs: TOKEN_MS, url };
      const { id, joinString } = await client.call('joining.create', { body });
      try {
        const { code, stderr } = await root.run(script, {
          args,
          stdin: `${joinString}\n`,
          timeoutMs: JOIN_MS,
        });
        if (code === 0) return;
        const [, said = stderr.trim()] = /error: ([^\n]*)/.exec(stderr) ?? [];
        const [, next] = /next: ([^\n]*)/.exec(stderr) ?? [];
        throw new FleetError('act_failed', `${host} did not join: ${said}`, { next, data: { host } });
      } catch (error) {
        throw await takenBack(client, host, id, asFleetError(error));
      }
    },
    async untilConnected(root) {
      const end = performance.now() + CONNECTED_MS;
      for (;;) {
        const hosts = await client.call('hosts.list', {});
        if (hosts.some((each) => each.host === host && each.connected)) return;
        if (performance.now() > end) break;
        await sleep(LOOK_MS);
      }
      const log = 'journalctl --unit="$1" --lines=15 --no-pager --output=cat 2>&1';
      const { stdout } = await root.run(log, { args: [AGENT_UNIT] });
      throw new FleetError(
        'unreachable',
        `${host}: its agent was started, and the controller has not seen it for ${CONNECTED_MS / 1000} s`,
        {
          next: `look on ${host} what it says: journalctl -u fleet-agent; then again`,
          data: { host, output: stdout },
        },
      );
    },
  };
}

/** Neither the token nor who joined with it stays: whether the host knows that it has joined, nobody can tell. */
async function takenBack(
  client: Client,
  host: string,
  token: string,
  error: FleetError,
): Promise<FleetError> {
  try {
    await client.call('joining.revoke', { params: { id: token } }).catch((thrown: unknown) => {
      // Used up.
      if (asFleetError(thrown).code !== 'bad_token') throw thrown;
    });
    const identities = await client.call('identities.list', {});
    const half = identities.some(
      (each) =>
        each.host === host && each.token === token && (each.state === 'active' || each.state === 'waiting'),
    );
    if (half) await client.call('hosts.forget', { params: { host } });
    return error;
  } catch (cause) {
    return new FleetError(
      error.code,
      `${error.message}; and its token could not be revoked: ${asFleetError(cause).message}`,
      {
        next: `fleet token revoke ${token}; where fleet hosts joined has ${host}: fleet hosts forget ${host}`,
        data: error.data,
        cause: error,
      },
    );
  }
}
