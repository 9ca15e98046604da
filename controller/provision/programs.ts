/**
 * Fleet's own programs for a host, from the controller: what they are is held against the key that the operator's login names, and
 * what comes against that, before a host gets a byte of it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import type { Client } from '@fleet/cli/client.ts';
import type { Program } from '@fleet/protocol/api/programs.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { SignedRelease } from '@fleet/protocol/trust.ts';
import { OWN, type OwnService } from '@fleet/protocol/words.ts';
import { keyIdOf, publicKeyFrom } from '@fleet/trust/keys.ts';
import { checkRelease, digestOf, type Rules } from '@fleet/trust/release.ts';
import { isSignedBy } from '@fleet/trust/signed.ts';

export interface ProgramFiles {
  service: OwnService;
  version: string;
  /** What is started of it, below the release. */
  main: string;
  manifest: Manifest;
  manifestBytes: Buffer;
  signed: SignedRelease;
}
export interface ForHost {
  node: ProgramFiles;
  agent: ProgramFiles;
}

const MAIN: Record<OwnService, string> = { 'fleet-node': 'bin/node', 'fleet-agent': 'agent.js' };

export class Shelf {
  readonly #client: Client;
  /** Name of the fleet's root key, as the login has it; undefined where it is not known, and the controller's word has to do. */
  readonly #root: string | undefined;
  /** For what is fetched. */
  readonly #dir: string;
  readonly #prepared = new Map<string, Promise<ProgramFiles>>();
  readonly #fetched = new Map<string, Promise<string>>();
  #rules: Promise<Rules> | undefined;
  #listed: Promise<Program[]> | undefined;

  constructor(client: Client, root: string | undefined, dir: string) {
    this.#client = client;
    this.#root = root;
    this.#dir = dir;
  }

  /** `platform`: like linux-x64. Throws `no_programs`, `not_signed`, `below_floor`, `wrong_authority`. */
  async programsFor(platform: string): Promise<ForHost> {
    this.#listed ??= this.#client.call('programs.list', {});
    const all = await this.#listed;
    const pick = (service: OwnService, ...platforms: string[]) => {
      const program = all.find((each) => each.service === service && platforms.includes(each.platform));
      if (program !== undefined) return this.#prepare(program);
      throw new FleetError('no_programs', `the controller has no ${service} for ${platform}`, {
        next: './scripts/bundle in a checkout makes them; then start the controller again',
      });
    };
    return { node: await pick(OWN.node, platform), agent: await pick(OWN.agent, platform, 'linux') };
  }

  #prepare(program: Program): Promise<ProgramFiles> {
    const key = `${program.service} ${program.version}`;
    const prepared = this.#prepared.get(key) ?? this.#verify(program);
    this.#prepared.set(key, prepared);
    return prepared;
  }

  async #verify({ service, version, signed }: Program): Promise<ProgramFiles> {
    this.#rules ??= this.#askRules();
    const manifestBytes = await this.#bytes(service, version);
    const release = { service, version, manifest: digestOf(manifestBytes) };
    checkRelease(release, signed ?? undefined, await this.#rules, 'this machine');
    return {
      ...{ service, version, main: MAIN[service], manifestBytes },
      ...{ manifest: decodeManifest(manifestBytes), signed: signed! },
    };
  }

  async #bytes(service: OwnService, version: string): Promise<Buffer> {
    const { content } = await this.#client.download('programs.fetch', {
      params: { service, version, part: 'manifest' },
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** Who may sign is believed of nobody but the root key that the login names. */
  async #askRules(): Promise<Rules> {
    const { rootKey, trust } = await this.#client.call('trust.show', {});
    const floors = await this.#client.call('floors.list', {});
    const own = keyIdOf(publicKeyFrom(rootKey));
    if ((this.#root !== undefined && own !== this.#root) || !isSignedBy(trust, [rootKey]))
      throw new FleetError(
        'wrong_authority',
        `the controller at ${this.#client.controller} names another root key than this login`,
        { next: 'fleet login anew if the fleet was made anew; else somebody has been at the controller' },
      );
    return {
      trust: trust.statement,
      floors: new Map(floors.map(({ service, signed }) => [service, signed.statement])),
    };
  }

  /** The artifact, whole and compared, once for all hosts. Throws `transfer_failed`. */
  artifact({ service, version, manifest }: ProgramFiles): Promise<string> {
    const key = `${service}-${version}`;
    const fetched = this.#fetched.get(key) ?? this.#fetch(service, version, manifest, join(this.#dir, key));
    this.#fetched.set(key, fetched);
    return fetched;
  }

  async #fetch(service: OwnService, version: string, manifest: Manifest, path: string): Promise<string> {
    const { content } = await this.#client.download('programs.fetch', {
      params: { service, version, part: 'artifact' },
    });
    const hash = createHash('sha256');
    await pipeline(
      content,
      new Transform({
        transform(chunk: Buffer, _encoding, done) {
          hash.update(chunk);
          done(null, chunk);
        },
      }),
      createWriteStream(path, { mode: 0o600 }),
    );
    if (hash.digest('hex') === manifest.artifact.sha256) return path;
    throw new FleetError(
      'transfer_failed',
      `${service} ${version} did not arrive whole from the controller`,
      {
        next: 'run it again',
      },
    );
  }
}

/** What goes to a host's stdin: parts of known length, and the artifact behind them. `onBytes` is told what has gone. */
export async function* parcelOf(
  parts: readonly Buffer[],
  artifact: string,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for (const part of parts) yield part;
  for await (const chunk of createReadStream(artifact, { highWaterMark: 256 * 1024 })) {
    yield chunk as Buffer;
    onBytes((chunk as Buffer).length);
  }
}
