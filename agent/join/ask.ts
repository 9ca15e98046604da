/** What a host asks at people's endpoint: to join, and for a certificate when it has none that holds. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { untrusted } from '@fleet/link/untrusted.ts';
import { type Enrolled, enrolled } from '@fleet/protocol/api/enrolment.ts';
import { ROUTES } from '@fleet/protocol/api/routes.ts';
import { CODES, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import { clientOptions, TLS_13 } from '@fleet/trust/tls.ts';

const ANSWER_MS = 30_000;

/** Throws what the controller says, `clock_off`, `wrong_authority`, `controller_unreachable`. `ca`: the authority's certificate, PEM. */
export async function askToEnrol(
  url: string,
  ca: string,
  route: 'agents.join' | 'agents.certify',
  body: object,
): Promise<Enrolled> {
  const response = await post(url, ROUTES[route].path, body, clientOptions({ ca }));
  const said = parsed(await text(response));
  if (response.statusCode === 200) return enrolled.parse(said);
  if (isErrorBody(said)) throw fromBody(said);
  throw unreachable(url, `what answers there (status ${response.statusCode}) is no controller`);
}

/** What time it is where the controller is, in milliseconds since 1970. Nothing is told to it, so nothing is verified. */
export async function timeAt(url: string): Promise<number> {
  const response = await post(
    url,
    ROUTES['agents.certify'].path,
    {},
    { ...TLS_13, rejectUnauthorized: false },
  );
  response.resume();
  const time = Date.parse(response.headers.date ?? '');
  if (Number.isNaN(time)) throw unreachable(url, 'what answers there does not say what time it is');
  return time;
}

async function post(url: string, path: string, body: object, tls: RequestOptions): Promise<IncomingMessage> {
  const asking = request(new URL(path, url), {
    ...tls,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  asking.end(JSON.stringify(body));
  try {
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    return response;
  } catch (cause) {
    throw (
      untrusted(url, cause) ?? unreachable(url, cause instanceof Error ? cause.message : String(cause), cause)
    );
  }
}

function unreachable(url: string, why: string, cause?: unknown): FleetError {
  return new FleetError('controller_unreachable', `no controller answers at ${url}: ${why}`, {
    next: 'is it running, and can this host reach that address?',
    cause,
  });
}

function parsed(said: string): unknown {
  try {
    return JSON.parse(said);
  } catch {
    return undefined;
  }
}

function isErrorBody(said: unknown): said is ErrorBody {
  return (
    typeof said === 'object' &&
    said !== null &&
    'code' in said &&
    typeof said.code === 'string' &&
    Object.hasOwn(CODES, said.code) &&
    'message' in said &&
    typeof said.message === 'string'
  );
}
