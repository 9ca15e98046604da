/** A user who never sleeps: asks through the balancer, again and again, whether the last answer has come or not. */
import { once } from 'node:events';
import { Agent, type ClientRequest, get } from 'node:http';
import { usersSocket } from './haproxy.ts';
import type { ProbeLine } from './record.ts';
import { now, type Recording } from './recording.ts';

const EVERY_MS = 20;
/** More than the balancer takes to give up: it is the balancer's answer that counts. */
const PATIENCE_MS = 20_000;

/** Returns what ends it; that resolves when the last answer has come. */
export function startProber(dir: string, recording: Recording): () => Promise<void> {
  const agent = new Agent({ keepAlive: false });
  const asked = new Set<ClientRequest>();
  const timer = setInterval(() => {
    const at = now();
    const done = (line: Partial<ProbeLine>) =>
      recording.probe({
        ...{ at, until: now(), status: null, host: null, version: null, error: null },
        ...line,
      });
    const request = get(
      { socketPath: usersSocket(dir), path: '/', agent, timeout: PATIENCE_MS },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        response.on('end', () => done({ status: response.statusCode ?? null, ...answered(body) }));
        response.on('error', (error) => done({ error: error.message }));
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (error) => done({ error: error.message }));
    asked.add(request);
    request.on('close', () => asked.delete(request));
  }, EVERY_MS);
  return async () => {
    clearInterval(timer);
    await Promise.all([...asked].map((request) => once(request, 'close')));
  };
}

/** Who answered; empty where it was the balancer itself. */
function answered(body: string): Pick<ProbeLine, 'host' | 'version'> | undefined {
  try {
    return JSON.parse(body) as Pick<ProbeLine, 'host' | 'version'>;
  } catch {
    return undefined;
  }
}
