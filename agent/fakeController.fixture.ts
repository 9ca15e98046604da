/** A controller for tests: a real HTTP server with real sessions, that sends what a test tells it to. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import { pack } from '@fleet/artifact/pack.ts';
import { acceptAgents, anybody } from '@fleet/link/listen.ts';
import { openSession, type Session } from '@fleet/link/session.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type ControllerMethods,
  type Reply,
  type Request,
} from '@fleet/protocol/messages/methods.ts';
import { streamName } from '@fleet/protocol/messages/release.ts';

export type Hello = Request<ControllerMethods, 'hello'>;
export interface Link {
  session: Session<AgentMethods>;
  hello: Hello;
}

export class FakeController {
  readonly fleet = randomUUID();
  epoch = 1;
  readonly links: Link[] = [];
  url = '';
  #waiting: Array<(link: Link) => void> = [];
  /** Every socket, for what no session would send. */
  readonly sockets: Parameters<Parameters<typeof acceptAgents>[0]['onSocket']>[0][] = [];
  readonly #server: Server;
  #accepted: { close(): Promise<void> } | undefined;

  constructor(server: Server = createServer()) {
    this.#server = server;
  }

  async open(port = 0): Promise<this> {
    this.#accepted = acceptAgents({
      server: this.#server,
      path: AGENT_PATH,
      identify: anybody,
      onSocket: (socket) => {
        this.sockets.push(socket);
        const session: Session<AgentMethods> = openSession({
          socket,
          theirs: AGENT_METHODS,
          ours: CONTROLLER_METHODS,
          handlers: {
            hello: async (hello) => {
              const link = { session, hello };
              this.links.push(link);
              for (const resolve of this.#waiting.splice(0)) setImmediate(resolve, link);
              return { protocol: this.protocol, fleet: this.fleet };
            },
            'identity.renew': async () => {
              throw new FleetError('not_enrolled', 'this controller gives no certificates');
            },
          },
        });
      },
    });
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.url = `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  /** What it answers to the next hello. */
  protocol = 1;

  /** The next agent that says hello. */
  nextLink(): Promise<Link> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get session(): Session<AgentMethods> {
    const link = this.links.at(-1);
    if (!link) throw new Error('no agent has said hello');
    return link.session;
  }

  command(id: string = randomUUID()): Command {
    return { id, fleet: this.fleet, epoch: this.epoch, why: 'a test' };
  }

  ask<K extends keyof AgentMethods & string>(
    method: K,
    body: Request<AgentMethods, K>,
  ): Promise<Reply<AgentMethods, K>> {
    return this.session.ask(method, body, { timeoutMs: 60_000 });
  }

  offer(built: Built, id?: string): Promise<Reply<AgentMethods, 'release.offer'>> {
    const { service, version, identity } = built.manifest;
    return this.ask('release.offer', {
      ...built.offer,
      command: this.command(id),
      service,
      version,
      identity,
    });
  }

  /** Offers, sends what is wanted and commits. Resolves with what the offer was answered. */
  async stage(built: Built): Promise<Reply<AgentMethods, 'release.offer'>> {
    const { service, version, identity } = built.manifest;
    const reply = await this.offer(built);
    if (reply.state === 'present') return reply;
    const from = { manifest: reply.manifestFrom, artifact: reply.artifactFrom };
    for (const part of ['manifest', 'artifact'] as const)
      await this.session.send({
        name: streamName(service, version, part),
        path: built.paths[part],
        from: from[part],
        size: built.offer[part].size,
      });
    await this.ask('release.commit', { command: this.command(), service, version, identity });
    return reply;
  }

  activate(built: Built, id?: string): Promise<Reply<AgentMethods, 'release.activate'>> {
    const { service, version, identity } = built.manifest;
    return this.ask('release.activate', { command: this.command(id), service, version, identity });
  }

  restart(
    built: Built,
    more: { values?: Record<string, string>; lenientStop?: boolean; id?: string } = {},
  ): Promise<Reply<AgentMethods, 'step.restart'>> {
    const { service, version } = built.manifest;
    const { values = {}, lenientStop = false, id } = more;
    return this.ask('step.restart', { command: this.command(id), service, version, values, lenientStop });
  }

  async close(): Promise<void> {
    await this.#accepted?.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export interface Built {
  manifest: Manifest;
  paths: { manifest: string; artifact: string };
  offer: Pick<Request<AgentMethods, 'release.offer'>, 'manifest' | 'artifact' | 'unpacked' | 'signed'>;
  remove(): Promise<void>;
}

/** Packs a service out of files given by path and content. */
export async function build(
  service: string,
  version: string,
  sealed: Record<string, unknown>,
  files: Record<string, string | Buffer>,
): Promise<Built> {
  const folder = await mkdtemp(join(tmpdir(), 'fleet-built-'));
  const dir = join(folder, 'source');
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), content);
  }
  const paths = { artifact: join(folder, 'artifact'), manifest: join(folder, 'manifest') };
  const manifest = await pack({
    dir,
    service,
    version,
    sealed: { service, ...sealed },
    source: { kind: 'directory', ref: dir },
    platform: `${process.platform}-${process.arch}`,
    root: '.',
    include: ['**'],
    exclude: [],
    compression: 'zstd',
    out: paths.artifact,
  });
  await writeFile(paths.manifest, encodeManifest(manifest));
  const unpacked = manifest.files.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
  return {
    manifest,
    paths,
    offer: {
      manifest: await carried(paths.manifest),
      artifact: { ...(await carried(paths.artifact)), compression: 'zstd' },
      unpacked,
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function carried(path: string): Promise<{ size: number; sha256: string }> {
  const { size } = await stat(path);
  return {
    size,
    sha256: createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  };
}
