/** Everything that can be found on a host without changing it: over the link (`host.examine`), or by hand (`fleet agent doctor`). */
import { stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import type { Finding } from '@fleet/protocol/finding.ts';
import type { AgentMethods, Reply } from '@fleet/protocol/messages/methods.ts';
import type { AgentSettings } from '../config/config.ts';
import { ask } from './ask.ts';
import { lookAtCertificate } from './certificate.ts';
import { lookAtController } from './controller.ts';
import { lookAtDisk } from './disk.ts';
import { machineFacts } from './facts.ts';
import { lookAtPlaces } from './place.ts';
import { lookAtRights } from './rights.ts';
import { lookAtUnits, serviceUnits } from './units.ts';

export async function lookAround(
  settings: AgentSettings,
  packages: boolean,
): Promise<Reply<AgentMethods, 'host.examine'>> {
  const [facts, findings] = await Promise.all([machineFacts(packages), examine(settings, 'link')]);
  return { facts, findings };
}

export async function examine(settings: AgentSettings, from: 'here' | 'link'): Promise<Finding[]> {
  const { root, data, joined, policy } = settings;
  const owner = await ownerOf(data);
  const all = await Promise.all([
    lookAtPlaces(settings, owner.uid),
    lookAtCertificate(joined, Date.now()),
    lookAtController(settings, from),
    lookAtDisk('root', root),
    lookAtDisk('data', data),
    lookAtUnits(),
    serviceUnits().then((units) => lookAtRights(owner.name, policy, units)),
  ]);
  return all.flat();
}

/** The agent's user: the data directory is its own, whoever looks. */
async function ownerOf(data: string): Promise<{ uid: number; name: string }> {
  const { uid, username } = userInfo();
  const owner = await stat(data).then(
    (found) => found.uid,
    () => uid,
  );
  if (owner === uid) return { uid, name: username };
  const entry = await ask(['getent', 'passwd', String(owner)]);
  return { uid: owner, name: entry?.split(':')[0] ?? String(owner) };
}
