/** What lies on the shelf unsigned, or signed by a key that has been retired: at level L0 the controller signs it anew. */
import { readFile } from 'node:fs/promises';
import { digestOf, isSigner } from '@fleet/trust/release.ts';
import type { Store } from '../store/store.ts';
import type { Signing } from './signing.ts';

/** Releases and floors keep the time of their first signature. Nothing at level L1b. */
export async function signShelf(store: Pick<Store, 'artifacts' | 'floors'>, signing: Signing): Promise<void> {
  const trust = signing.trust().statement;
  const signed = [];
  for (const { service, version, signature, manifestPath, builtAt } of await store.artifacts.list()) {
    if (signature && isSigner(trust, signature)) continue;
    const manifest =
      signature?.statement.manifest ?? (await readFile(manifestPath).then(digestOf, () => undefined));
    if (manifest === undefined) continue; // Its files are gone: it is built again when it is asked for.
    const at = signature?.statement.signedAt ?? Date.parse(builtAt);
    const anew = signing.sign({ service, version, manifest }, at);
    if (anew) signed.push(anew);
  }
  if (signed.length > 0) await store.artifacts.signAnew(signed);
  for (const floor of await store.floors.list()) {
    if (isSigner(trust, floor.signed)) continue;
    const anew = signing.signFloor(floor.signed.statement);
    if (anew) await store.floors.set({ ...floor, signed: anew });
  }
}
