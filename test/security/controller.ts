/** A controller in this process with both of its endpoints over TLS, on free ports of loopback, and a fleet of hosts that have joined. */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { pino } from 'pino';
import type { Test } from 'tap';
import { createAgents } from '../../controller/agents/agents.ts';
import { watchRows } from '../../controller/api/edge.fixture.ts';
import { createApi } from '../../controller/api/server.ts';
import { servingOf } from '../../controller/api/serving.fixture.ts';
import type { Fleet } from '../../controller/deploy/fleet.fixture.ts';
import { openEndpoints } from '../../controller/endpoints.ts';
import type { Enrolment } from '../../controller/enrol/enrolment.ts';
import { identitiesBy } from '../../controller/enrol/identities.ts';
import type { Store } from '../../controller/store/store.ts';
import type { Trust } from '../../controller/trust/folder.ts';

export type Endpoint = 'people' | 'agents';

export interface Controller {
  ports: Record<Endpoint, number>;
  store: Store;
  enrolment: Enrolment;
  /** Its own keys, and where they lie. */
  trust: Trust;
  keys: string;
  /** A hash over all that it keeps, but for what refusals may write: the audit log, and when somebody was last seen. */
  state(): string;
  /** Resolves when what was let in has ended. */
  idle(): Promise<void>;
}

export async function openController(t: Test, fleet: Fleet): Promise<Controller> {
  const now = () => Date.now();
  const { deployer, store, enrolment, serving, own, folders } = await servingOf(t, fleet, {
    clock: now,
    agentsPort: () => endpoints.agentsPort(),
    sweep: () => agents.sweep(),
  });
  const anywhere = '127.0.0.1:0';
  const endpoints = await openEndpoints({ listen: anywhere, listen_agents: anywhere }, own);
  const log = pino({ level: 'silent' });
  const agents = createAgents({
    server: endpoints.agents,
    identities: identitiesBy(enrolment, now),
    path: AGENT_PATH,
    fleet: store.fleet,
    version: '0.1.0',
    log,
    onHello: (hello) => store.hosts.save(hello),
    onGone: (host) => void store.hosts.seen(host),
  });
  const api = await createApi(serving, log, endpoints.people, { development: false, origins: [], now });
  await endpoints.listenForAgents();
  await api.listen(endpoints.address);
  t.teardown(async () => {
    await agents.close();
    await endpoints.close();
    await api.close();
  });
  const [folder = ''] = folders;
  const rows = watchRows(t, fleet.database);
  const kept = [...folders, dirname(fleet.database)];
  return {
    ports: { people: (api.server.address() as AddressInfo).port, agents: endpoints.agentsPort() },
    store,
    enrolment,
    trust: own,
    keys: join(folder, 'data', 'trust'),
    state: () => `${rows()} ${hashOfFiles(kept)}`,
    async idle() {
      await deployer.idle();
      await serving.backups.idle();
    },
  };
}

/** Whatever is written to a file, its time of change is another; the database has a hash of its own. */
function hashOfFiles(folders: string[]): string {
  const hash = createHash('sha256');
  for (const folder of folders)
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      if (name.startsWith('fleet.sqlite')) continue;
      const { ino, mode, size, ctimeNs } = statSync(join(folder, name), { bigint: true });
      hash.update(`${folder} ${name} ${ino} ${mode} ${size} ${ctimeNs}\n`);
    }
  return hash.digest('hex');
}
