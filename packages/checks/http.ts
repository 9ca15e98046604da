import { once } from 'node:events';
import http from 'node:http';
import { substitute } from '@fleet/protocol/service.ts';
import { portOf, whyNot } from './address.ts';
import type { CheckContext, CheckDriver } from './check.ts';

/** How far into a body the text is looked for, and how much of it is shown when it is not there, in bytes. */
const FARTHEST = 1024 * 1024;
const SHOWN = 100;

/** Passes when one GET is answered with the status, and the body contains the text. Redirects are answers, not followed. */
export const httpGet: CheckDriver<'http'> = {
  kind: 'http',
  async try({ host, port: named, path, status, contains }, { values, signal, redact }) {
    const port = portOf(named, values);
    if (typeof port === 'object') return port;
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
    const failed = (what: string) => ({ passed: false, detail: `${url} ${what}` });

    const headers = { 'accept-encoding': 'identity', 'user-agent': 'fleet-check' };
    const request = http.get({ host, port, path, agent: false, headers, signal });
    request.on('error', () => {});
    let answered = '';
    try {
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      response.on('error', () => {});
      answered = `answered ${response.statusCode}`;
      const location = response.headers.location;
      if (response.statusCode !== status)
        return failed(`${answered}${location === undefined ? '' : ` to ${location}`}, not ${status}`);
      if (contains === undefined) return { passed: true, detail: `${url} ${answered}` };

      const text = substitute(contains, values);
      const { found, beginning } = await look(response, Buffer.from(text), redact);
      if (found) return { passed: true, detail: `${url} ${answered} with ${JSON.stringify(text)}` };
      return failed(`${answered} without ${JSON.stringify(text)}; it begins ${JSON.stringify(beginning)}`);
    } catch (error) {
      const why = signal.aborted ? 'did not end its answer in time' : `failed: ${whyNot(error)}`;
      if (answered !== '') return failed(`${answered}, and ${why}`);
      return failed(signal.aborted ? 'did not answer in time' : why);
    } finally {
      request.destroy();
    }
  },
};

/** Looks while the body comes, and stops at once where the text is found: a body may be huge, or never end. */
async function look(
  body: AsyncIterable<Buffer>,
  text: Buffer,
  redact: CheckContext['redact'],
): Promise<{ found: boolean; beginning: string }> {
  let beginning = Buffer.alloc(0);
  const shown = redact((piece) => {
    if (beginning.length < SHOWN)
      beginning = Buffer.concat([beginning, piece.subarray(0, SHOWN - beginning.length)]);
  });
  let window = Buffer.alloc(0);
  let seen = 0;
  const says = (found: boolean) => {
    shown.end();
    return { found, beginning: beginning.toString('utf8') };
  };
  if (text.length === 0) return says(true);
  for await (const chunk of body) {
    const taken = chunk.subarray(0, FARTHEST - seen);
    seen += taken.length;
    if (beginning.length < SHOWN) shown.push(taken);
    // The text may begin in one chunk and end in the next.
    window = Buffer.concat([window.subarray(Math.max(0, window.length - text.length + 1)), taken]);
    if (window.includes(text)) return says(true);
    if (seen >= FARTHEST) break;
  }
  return says(false);
}
