/**
 * Fleet's own programs, as hosts get them: what `./scripts/bundle` made lies in a folder that came with the controller. At its start
 * each is put on the shelf beside what was built here, and signed like that: so what a host runs stays there, whatever becomes of the
 * folder, and goes out to hosts as any release does.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ENDING, shelve, takeDown } from '@fleet/artifact/build/shelf.ts';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import type { Download, Program, ProgramPart } from '@fleet/protocol/api/programs.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { type SignedRelease, signedRelease } from '@fleet/protocol/trust.ts';
import { type OwnService, ownService } from '@fleet/protocol/words.ts';
import { digestOf } from '@fleet/trust/release.ts';
import type { Signing } from '../signing/signing.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { Store } from '../store/store.ts';

export interface ProgramsOptions {
  /** `FOLDER/SERVICE/VERSION.manifest.json`, and its artifact beside it. */
  folder: string;
  store: Pick<Store, 'artifacts'>;
  /** Null in development, where nothing is signed. */
  signing: Pick<Signing, 'sign' | 'check'> | null;
  /** On one disk. */
  dirs: { work: string; artifacts: string };
  log: { info(data: object, message: string): void; warn(data: object, message: string): void };
}

const MANIFEST = '.manifest.json';
const SIGNATURE = '.signature.json';

interface Found {
  service: OwnService;
  version: string;
}

export class Programs {
  readonly #options: ProgramsOptions;
  #found: Found[] = [];

  constructor(options: ProgramsOptions) {
    this.#options = options;
  }

  /** Each time anew what lies in the folder. One that is damaged is no reason to be without the others. */
  async register(): Promise<void> {
    const { folder, log } = this.#options;
    const found: Found[] = [];
    for (const service of ownService.options)
      for (const name of (await readdir(join(folder, service)).catch(() => [])).sort()) {
        if (!name.endsWith(MANIFEST)) continue;
        const version = name.slice(0, -MANIFEST.length);
        try {
          if (await this.#add(service, version)) log.info({ service, version }, 'on the shelf for hosts');
          found.push({ service, version });
        } catch (error) {
          const { code, message } = asFleetError(error);
          log.warn({ service, version, code }, `not on the shelf for hosts: ${message}`);
        }
      }
    this.#found = found;
  }

  /** Throws `no_programs`. */
  async list(): Promise<Program[]> {
    if (this.#found.length === 0) throw none(this.#options.folder);
    const { artifacts } = this.#options.store;
    const programs = await Promise.all(
      this.#found.map(async ({ service, version }) => {
        const record = await artifacts.byVersion(service, version);
        return record === undefined ? [] : [programOf(service, record)];
      }),
    );
    return programs.flat();
  }

  /** Throws `no_programs`, `unknown_version`, `not_signed`. */
  async open(service: OwnService, version: string, part: ProgramPart): Promise<Download> {
    if (this.#found.length === 0) throw none(this.#options.folder);
    const record = await this.#options.store.artifacts.byVersion(service, version);
    if (record === undefined)
      throw new FleetError('unknown_version', `there is no ${service} ${version} on the shelf`, {
        next: `fleet releases ${service} lists what there is`,
      });
    if (part === 'artifact') return openFile(record.artifactPath);
    if (part === 'manifest') return openFile(record.manifestPath);
    if (record.signature === null) throw unsigned(record);
    return inMemory(Buffer.from(`${JSON.stringify(record.signature)}\n`));
  }

  /** False where it is there already: then what the shelf holds is kept, with its signature and the time of it. */
  async #add(service: OwnService, version: string): Promise<boolean> {
    const { folder, store, dirs } = this.#options;
    const before = await store.artifacts.byVersion(service, version);
    const at = join(folder, service, version);
    if (before !== undefined && (await takeDown(before))) {
      if (before.signature === null) await this.#signLate(before, `${at}${SIGNATURE}`);
      return false;
    }
    const bytes = await readFile(`${at}${MANIFEST}`);
    const manifest = decodeManifest(bytes);
    if (manifest.service !== service || manifest.version !== version)
      throw new FleetError('bad_archive', `${at}${MANIFEST} is of ${manifest.service} ${manifest.version}`, {
        next: './scripts/bundle makes the folder anew',
      });
    const files = await keep(`${at}.${ENDING[manifest.artifact.compression]}`, manifest, dirs);
    await store.artifacts.add({
      ...{ service, version, identity: manifest.identity, sourceKey: digestOf(bytes) },
      ...{ ref: manifest.source.ref, commit: manifest.source.commit ?? null, platform: manifest.platform },
      ...{ size: manifest.artifact.size, notes: [], builtAt: new Date().toISOString() },
      artifactPath: files.artifactPath,
      manifestPath: files.manifestPath,
      signature: await this.#sign(manifest, digestOf(bytes), `${at}${SIGNATURE}`, before),
    });
    return true;
  }

  /** What lay here unsigned because nobody had signed it yet. */
  async #signLate(record: ArtifactRecord, path: string): Promise<void> {
    const { store } = this.#options;
    const { service, version } = record;
    const signed = await this.#sign(
      { service, version },
      digestOf(await readFile(record.manifestPath)),
      path,
    );
    if (signed !== null) await store.artifacts.signAnew([signed]);
  }

  /** By the controller where it signs, else as another machine has: the signature lies in the folder, too. */
  async #sign(
    { service, version }: Pick<Manifest, 'service' | 'version'>,
    manifest: string,
    path: string,
    before?: ArtifactRecord,
  ): Promise<SignedRelease | null> {
    const { signing } = this.#options;
    const release = { service, version, manifest };
    const own = signing?.sign(release, before?.signature?.statement.signedAt) ?? null;
    if (own !== null || signing === null) return own;
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) return null;
    const signed = signedRelease.parse(JSON.parse(text));
    signing.check(release, signed, []);
    return signed;
  }
}

/** Whole on the disk when this resolves. Throws `bad_archive`. */
async function keep(artifact: string, manifest: Manifest, dirs: ProgramsOptions['dirs']) {
  const dir = await mkdtemp(join(dirs.work, `${manifest.service}-`));
  try {
    const packed = join(dir, 'artifact');
    await copyFile(artifact, packed, constants.COPYFILE_FICLONE);
    const hash = createHash('sha256');
    await pipeline(createReadStream(packed), hash);
    if (hash.digest('hex') !== manifest.artifact.sha256)
      throw new FleetError('bad_archive', `${artifact} is not what its manifest says`, {
        next: './scripts/bundle makes the folder anew',
      });
    const file = await open(packed, 'r');
    await file.sync().finally(() => file.close());
    return await shelve(packed, manifest, dirs.artifacts, { dir });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function openFile(path: string): Promise<Download> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new FleetError('no_programs', `${path} is gone`, {
      next: 'start the controller again: it takes it from the programs folder once more',
      cause,
    });
  });
  return { size, content: createReadStream(path) };
}

function inMemory(bytes: Buffer): Download {
  async function* content() {
    yield bytes;
  }
  return { size: bytes.length, content: content() };
}

function programOf(
  service: OwnService,
  { version, identity, platform, size, signature }: ArtifactRecord,
): Program {
  return { service, version, identity, platform, size, signed: signature };
}

function none(folder: string): FleetError {
  return new FleetError(
    'no_programs',
    `the controller has no programs for hosts: there are none in ${folder}`,
    {
      next: './scripts/bundle in a checkout makes them; then start the controller again',
    },
  );
}

function unsigned({ service, version }: ArtifactRecord): FleetError {
  return new FleetError('not_signed', `nobody has signed ${service} ${version}`, {
    next: './scripts/bundle --sign-key FILE where releases are signed, and the folder that it makes on the controller',
  });
}
