/** A client that keeps sending requests through a balancer, and counts what came back. */
import { Agent, request } from 'node:http';

export interface Load {
  sent: number;
  failed: number;
  /** How often each version answered, where the answer is JSON with a version. */
  versions: Map<string, number>;
  /** The first few reasons. */
  failures: string[];
  stop(): Promise<void>;
}

/** `clients` at a time, each sending its next request `pauseMs` after its last was answered, over kept-alive connections. */
export function startLoad(
  url: string,
  { clients = 4, pauseMs = 5, socketPath }: { clients?: number; pauseMs?: number; socketPath?: string } = {},
): Load {
  // A balancer in a network of its own is reached by a socket of the file system.
  const agent = new Agent({ keepAlive: true, maxSockets: clients, ...(socketPath && { socketPath }) });
  const load = { sent: 0, failed: 0, versions: new Map<string, number>(), failures: [] as string[] };
  let going = true;

  async function client(): Promise<void> {
    while (going) {
      load.sent++;
      try {
        const version = versionIn(await get(url, agent));
        load.versions.set(version, (load.versions.get(version) ?? 0) + 1);
      } catch (error) {
        load.failed++;
        if (load.failures.length < 5)
          load.failures.push(error instanceof Error ? error.message : String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  const done = Promise.all(Array.from({ length: clients }, client));
  return Object.assign(load, {
    stop: async () => {
      going = false;
      await done;
      agent.destroy();
    },
  });
}

function get(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, timeout: 10_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(body)
          : reject(new Error(`status ${response.statusCode}: ${body}`)),
      );
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in 10s')));
    sent.on('error', reject);
    sent.end();
  });
}

function versionIn(body: string): string {
  try {
    const json: unknown = JSON.parse(body);
    if (typeof json === 'object' && json !== null && 'version' in json) return String(json.version);
  } catch {
    // Not JSON, and that is fine.
  }
  return 'unknown';
}
