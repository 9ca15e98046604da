/** Changes of who may sign and of what is too old: verified, kept, and handed on to every host that is there. */

import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Hello } from '@fleet/protocol/messages/hello.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { SignedFloor, SignedRelease, SignedTrust } from '@fleet/protocol/trust.ts';
import { isSigner } from '@fleet/trust/release.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { FloorRecord } from '../store/floors.ts';
import type { Store } from '../store/store.ts';
import { updatesFor } from './handOn.ts';
import { signShelf } from './shelf.ts';
import type { Signing } from './signing.ts';

export interface Told {
  told: string[];
  away: string[];
}

interface Parts {
  signing: Signing;
  store: Pick<Store, 'artifacts' | 'floors' | 'hosts'>;
  agents: {
    hello(host: string): Hello | undefined;
    ask(
      host: string,
      method: 'trust.update',
      body: Request<AgentMethods, 'trust.update'>,
      options: { timeoutMs: number },
    ): Promise<Reply<AgentMethods, 'trust.update'>>;
  };
  log: { warn(data: object, message: string): void };
}

const TELL_MS = 10_000;

export class TrustChanges {
  readonly signing: Signing;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.signing = parts.signing;
    this.#parts = parts;
  }

  /** Releases on the shelf that would be refused everywhere. */
  async unsigned(): Promise<ArtifactRecord[]> {
    const trust = this.signing.trust().statement;
    const all = await this.#parts.store.artifacts.list();
    return all.filter(({ signature }) => signature === null || !isSigner(trust, signature));
  }

  /** What the shelf holds is signed by the new key at once, so that every way back stays open. */
  async replace(trust: SignedTrust): Promise<Told> {
    this.signing.replace(trust);
    await signShelf(this.#parts.store, this.signing);
    return this.#tell();
  }

  /** Signed by the controller at level L0, else as it comes. Throws `unknown_version`, `not_signed`, `trust_lowered`. */
  async setFloor(
    wanted: { service: string; version: string; signed?: SignedFloor | undefined },
    said: Omit<FloorRecord, 'signed'>,
  ): Promise<Told & { floor: FloorRecord }> {
    const { store } = this.#parts;
    const { service, version } = wanted;
    const artifact = await store.artifacts.byVersion(service, version);
    if (artifact === undefined)
      throw new FleetError('unknown_version', `there is no ${service} ${version}`, {
        next: `fleet releases ${service} lists what there is`,
      });
    const notBefore = artifact.signature?.statement.signedAt;
    const signed =
      wanted.signed ??
      (notBefore === undefined ? null : this.signing.signFloor({ service, version, notBefore }));
    if (notBefore === undefined || signed === null)
      throw new FleetError(
        'not_signed',
        `this controller cannot sign a floor of ${service}: the key is on another machine`,
        {
          next: `fleet floor ${service} ${version} -m WHY --sign-key FILE, where that is`,
        },
      );
    const { statement } = signed;
    const fits =
      statement.service === service && statement.version === version && statement.notBefore === notBefore;
    if (!fits || !isSigner(this.signing.trust().statement, signed))
      throw new FleetError(
        'not_signed',
        `this floor of ${service} is not one that a signer made for ${version}`,
        {
          next: 'fleet keys show tells who may sign',
        },
      );
    const was = (await store.floors.list()).find((each) => each.signed.statement.service === service);
    if (was !== undefined && was.signed.statement.notBefore > notBefore)
      throw new FleetError(
        'trust_lowered',
        `the floor of ${service} is ${was.signed.statement.version}, and ${version} is older`,
        {
          next: 'a floor never falls: deploy a later version',
        },
      );
    const floor = { ...said, signed };
    await store.floors.set(floor);
    return { ...(await this.#tell()), floor };
  }

  /** Of releases that are on the shelf, made by who may sign. Throws `not_signed`, `unknown_version`. */
  async addSignatures(signed: readonly SignedRelease[]): Promise<Told> {
    const trust = this.signing.trust().statement;
    for (const each of signed) {
      const { service, version, manifest } = each.statement;
      const artifact = await this.#parts.store.artifacts.byVersion(service, version);
      const before = artifact?.signature?.statement;
      if (before === undefined)
        throw new FleetError('unknown_version', `no signed ${service} ${version} is on the shelf`, {
          next: `fleet push brings a release with its signature`,
        });
      if (
        !isSigner(trust, each) ||
        before.manifest !== manifest ||
        before.signedAt !== each.statement.signedAt
      )
        throw new FleetError(
          'not_signed',
          `this signature of ${service} ${version} is not that of a signer for what is on the shelf`,
          {
            next: 'fleet keys show tells who may sign',
          },
        );
    }
    await this.#parts.store.artifacts.signAnew(signed);
    return this.#tell();
  }

  async #tell(): Promise<Told> {
    const { agents, store, log } = this.#parts;
    const told: Told = { told: [], away: [] };
    const shelved = new Set((await store.artifacts.list()).map(({ service }) => service));
    // What a host said in its hello may be older than what was staged on it since.
    const services = [...shelved].map((service) => ({ service, current: null, releases: [] }));
    const tellOne = async (host: string) => {
      const trust = agents.hello(host)?.trust;
      if (trust === undefined) return false;
      for (const update of await updatesFor({ trust, services }, store, this.signing))
        await agents.ask(host, 'trust.update', update, { timeoutMs: TELL_MS });
      return true;
    };
    await Promise.all(
      (await store.hosts.list()).map(async ({ host }) => {
        const has = await tellOne(host).catch((error: unknown) => {
          log.warn({ host, code: asFleetError(error).code }, asFleetError(error).message);
          return false;
        });
        told[has ? 'told' : 'away'].push(host);
      }),
    );
    return { told: told.told.sort(), away: told.away.sort() };
  }
}
