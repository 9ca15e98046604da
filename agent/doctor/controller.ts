/** Whether this host can reach both ports of the controller, and what time it is there. */
import { request as plainRequest } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { untrusted } from '@fleet/link/untrusted.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { privatePem } from '@fleet/trust/keys.ts';
import { clientOptions } from '@fleet/trust/tls.ts';
import type { AgentSettings } from '../config/config.ts';

const ANSWER_MS = 5000;
/** Of two clocks. A date in an answer has no more than seconds. */
const APART_MS = 5000;
/** A controller takes no proof of a host whose clock is further off. */
const TOO_FAR_MS = 5 * 60_000;

interface Answered {
  /** The controller's clock in milliseconds since 1970, where it says it. */
  date: number | undefined;
  status: number;
}

/** `from` the host itself the agents' port is asked whether it takes this host; over the link, which it took, it need not be. */
export async function lookAtController(
  { joined, controller }: Pick<AgentSettings, 'joined' | 'controller'>,
  from: 'here' | 'link',
): Promise<Finding[]> {
  const agents = new URL(controller);
  if (joined === undefined)
    return [(await lookAt('port for agents', new URL('/', http(agents)), {})).finding];
  const { ca, key } = joined;
  const mine = { cert: joined.certificate(), key: privatePem(key.privateKey) };
  const [people, own] = await Promise.all([
    lookAt('port for people', new URL(joined.url), clientOptions({ ca })),
    lookAt(
      'port for agents',
      new URL(from === 'here' ? AGENT_PATH : '/', http(agents)),
      clientOptions({ ca, ...mine }),
      from === 'here' ? UPGRADE : {},
    ),
  ]);
  const date = own.date ?? people.date;
  // Over the link the controller has asked the time itself, and more finely.
  const asked = from === 'link' || date === undefined;
  return [people.finding, own.finding, ...(asked ? [] : [clock(date)])];
}

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': Buffer.alloc(16).toString('base64'),
};

function http(url: URL): URL {
  return new URL(url.href.replace(/^ws/, 'http'));
}

async function lookAt(
  about: string,
  url: URL,
  tls: RequestOptions,
  headers: Record<string, string> = {},
): Promise<{ finding: Finding; date?: number | undefined }> {
  const began = performance.now();
  try {
    const { status, date } = await answerOf(url, tls, headers);
    const took = `${Math.round(performance.now() - began)} ms`;
    if (headers.upgrade !== undefined && status !== 101)
      return {
        finding: bad(
          about,
          `${url.host} answers, and does not take this host (status ${status})`,
          'fleet hosts joined says whether it was revoked; to let it join anew: fleet token create, then fleet agent join --again',
        ),
        date,
      };
    return { finding: ok(about, `${url.host} answers in ${took}${tls.ca ? ', TLS verified' : ''}`), date };
  } catch (error) {
    return { finding: unreached(about, url, error) };
  }
}

function answerOf(url: URL, tls: RequestOptions, headers: Record<string, string>): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asking = (url.protocol === 'http:' ? plainRequest : request)(url, {
      ...tls,
      headers,
      agent: false,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const answered = (status: number, date: string | undefined) => {
      const at = Date.parse(date ?? '');
      resolve({ status, date: Number.isNaN(at) ? undefined : at });
      asking.destroy();
    };
    asking.on('response', ({ statusCode = 0, headers }) => answered(statusCode, headers.date));
    // Taken in: more is not asked, and the connection ends.
    asking.on('upgrade', ({ headers }, socket) => {
      socket.destroy();
      answered(101, headers.date);
    });
    asking.on('error', reject);
    asking.end();
  });
}

/** The stage at which it ended says where to look. */
function unreached(about: string, url: URL, error: unknown): Finding {
  const known = untrusted(url.href, error);
  if (known !== undefined) return bad(about, known.message, known.next ?? '');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const { hostname, port } = url;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return bad(
      about,
      `the name ${hostname} has no address here (${code})`,
      `getent hosts ${hostname}, and what /etc/resolv.conf names`,
    );
  if (code === 'ECONNREFUSED')
    return bad(
      about,
      `${hostname} is there, and nothing listens on its port ${port}`,
      'where the controller is: systemctl status fleet-controller, and `listen` in its controller.yaml',
    );
  const silent =
    code === 'ABORT_ERR' || /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/.test(code) || isTimeout(error);
  if (silent)
    return bad(
      about,
      `nothing comes back from ${url.host} (${code || `${ANSWER_MS / 1000} s`})`,
      `is a firewall between? ip route get ${hostname}; where the controller is: ss -ltn`,
    );
  return bad(
    about,
    `${url.host} ends the connection: ${error instanceof Error ? error.message : error}`,
    'where the controller is: journalctl -u fleet-controller -n 50',
  );
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError');
}

function clock(date: number): Finding {
  const apart = Date.now() - date;
  const says =
    Math.abs(apart) < APART_MS
      ? 'as the controller’s'
      : `${Math.round(Math.abs(apart) / 1000)} s ${apart > 0 ? 'ahead of' : 'behind'} the controller’s`;
  const next = 'set the clock that is wrong: timedatectl set-ntp true; `timedatectl` shows how it stands';
  if (Math.abs(apart) > TOO_FAR_MS) return bad('clock', says, next);
  return Math.abs(apart) > APART_MS ? warn('clock', says, next) : ok('clock', says);
}
