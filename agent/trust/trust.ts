/**
 * What this host holds to, whatever a controller says: a root key that was pinned when it joined, the document of that key that
 * says who may sign, and the floors. Nothing here is ever lowered by a message.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { ControllerMethods, Request } from '@fleet/protocol/messages/methods.ts';
import { update } from '@fleet/protocol/messages/trust.ts';
import {
  type FloorStatement,
  type SignedFloor,
  type SignedRelease,
  type SignedTrust,
  signedTrust,
} from '@fleet/protocol/trust.ts';
import { readGuarded, writeGuarded } from '@fleet/trust/guarded.ts';
import { keyIdOf, publicKeyFrom } from '@fleet/trust/keys.ts';
import { checkRelease, isSigner, type Release } from '@fleet/trust/release.ts';
import { isSignedBy } from '@fleet/trust/signed.ts';

export interface Trust {
  /** Undefined in development, where there is no root key and nothing has to be signed. */
  says(): Request<ControllerMethods, 'hello'>['trust'];
  /** Throws `not_signed`, `below_floor`. */
  check(release: Release, signed: SignedRelease | undefined): void;
  /** All of it or nothing, and on the disk by then. Throws `not_signed`, `trust_lowered`. Returns the serial that holds. */
  take(trust: SignedTrust, floors: readonly SignedFloor[]): number;
  /** Whether the document that holds lets this signature pass; floors are not asked. */
  vouches(signed: SignedRelease): boolean;
}

/** For an agent that has joined no fleet. */
export const UNSIGNED: Trust = {
  says: () => undefined,
  check() {},
  take() {
    throw new FleetError('not_enrolled', 'this agent has joined no fleet: it has no root key to believe', {
      next: 'on the host: fleet agent join',
    });
  },
  vouches: () => true,
};

const FILES = { root: 'root.pub', trust: 'trust.json', floors: 'floors.json' } as const;

/**
 * `folder`: DATA/trust, which joining makes. `UNSIGNED` where there is none. Throws `not_enrolled` where a part of it is gone or is
 * not signed by its root key, and `key_too_open`.
 */
export function openTrust(folder: string, host: string): Trust {
  if (!existsSync(folder) || readdirSync(folder).length === 0) return UNSIGNED;
  const damaged = (why: string) =>
    new FleetError('not_enrolled', `${folder}: ${why}, so ${host} does not know whose releases it may run`, {
      next: 'join again: fleet token create where the controller is, then fleet agent join on this host',
    });
  const root = readGuarded(join(folder, FILES.root))?.trim();
  const written = readGuarded(join(folder, FILES.trust));
  if (root === undefined || written === undefined)
    throw damaged(`${root === undefined ? FILES.root : FILES.trust} is gone`);
  const first = decode(signedTrust, written);
  if (first === undefined || !isSignedBy(first, [root]))
    throw damaged(`${FILES.trust} is not signed by its root key`);
  // Their signers may have been retired since they came: a floor stays.
  const kept = decode(update.request.shape.floors, readGuarded(join(folder, FILES.floors)) ?? '[]');
  if (kept === undefined) throw damaged(`${FILES.floors} is damaged`);
  let trust = first;
  let floors = new Map(kept.map((floor) => [floor.statement.service, floor]));

  const lowered = (why: string) =>
    new FleetError('trust_lowered', `${host} keeps what it holds to: ${why}`, {
      next: 'fleet keys show tells what the controller has; where it was restored from a backup, bring back its newest document',
    });

  function checkTrust(offered: SignedTrust, now: SignedTrust): void {
    if (!isSignedBy(offered, [root!]))
      throw new FleetError(
        'not_signed',
        `${host} refuses a document of trust that its root key did not sign`,
        {
          next: 'sign it with the root key that fleet init made: fleet keys rotate --root-key FILE',
        },
      );
    const [is, was] = [offered.statement, now.statement];
    if (is.level === 'L0' && was.level !== 'L0') throw lowered('its level is never lowered from L1b to L0');
    if (is.serial < was.serial) throw lowered(`it has document ${was.serial}, and ${is.serial} is older`);
    if (is.serial === was.serial && offered.signature !== now.signature)
      throw lowered(`it has another document ${was.serial}`);
  }

  return {
    says: () => ({
      root: keyIdOf(publicKeyFrom(root)),
      serial: trust.statement.serial,
      level: trust.statement.level,
      floors: Object.fromEntries(
        [...floors].map(([service, { statement }]) => [service, statement.notBefore]),
      ),
    }),
    check: (release, signed) =>
      checkRelease(release, signed, { trust: trust.statement, floors: statementsOf(floors) }, host),
    vouches: (signed) => isSigner(trust.statement, signed),
    take(offered, given) {
      checkTrust(offered, trust);
      const next = new Map(floors);
      for (const floor of given) {
        const { service, version, notBefore } = floor.statement;
        if (!isSigner(offered.statement, floor))
          throw new FleetError(
            'not_signed',
            `${host} refuses a floor of ${service} that no signer has signed`,
            {
              next: `fleet floor ${service} ${version} -m WHY`,
            },
          );
        const was = next.get(service)?.statement;
        if (was !== undefined && notBefore < was.notBefore)
          throw lowered(`the floor of ${service} is ${was.version}, and ${version} is older`);
        next.set(service, floor);
      }
      if (given.length > 0) write(FILES.floors, [...next.values()]);
      if (offered.statement.serial > trust.statement.serial) write(FILES.trust, offered);
      floors = next;
      trust = offered;
      return trust.statement.serial;
    },
  };

  function write(name: string, document: unknown): void {
    writeGuarded(join(folder, name), `${JSON.stringify(document, null, 2)}\n`);
  }
}

/** When a host joins. To the same root key again, what it holds to is as hard to lower as by any message. */
export function pinTrust(folder: string, root: string, trust: SignedTrust): void {
  if (readGuarded(join(folder, FILES.root))?.trim() === root) {
    openTrust(folder, 'this host').take(trust, []);
    return;
  }
  rmSync(join(folder, FILES.floors), { force: true });
  writeGuarded(join(folder, FILES.trust), `${JSON.stringify(trust, null, 2)}\n`);
  writeGuarded(join(folder, FILES.root), `${root}\n`);
}

function statementsOf(floors: ReadonlyMap<string, SignedFloor>): Map<string, FloorStatement> {
  return new Map([...floors].map(([service, { statement }]) => [service, statement]));
}

function decode<T>(schema: { parse(value: unknown): T }, text: string): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
