import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@fleet/cli/client.ts';
import type { SignedRelease } from '@fleet/protocol/trust.ts';
import { keyIdOf, makeSigningKey, publicText } from '@fleet/trust/keys.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import t, { type Test } from 'tap';
import { packProgram } from '../../scripts/bundles/programs.ts';
import { Keys } from '../signing/keys.fixture.ts';
import { Shelf } from './programs.ts';

const KEYS = new Keys();
const ROOT = keyIdOf(KEYS.root.publicKey);

/** A controller with one agent and one Node, where a part of what it says may be another than it should be. */
async function shelf(
  t: Test,
  bent: { by?: Keys; signer?: typeof KEYS.release; artifact?: string; manifest?: boolean } = {},
) {
  const dir = t.testdir({ folder: { 'agent.js': 'an agent', bin: { node: 'a node' } }, fetched: {} });
  const files = new Map<string, Buffer>();
  const programs = [];
  for (const service of ['fleet-agent', 'fleet-node'] as const) {
    const platform = service === 'fleet-agent' ? 'linux' : 'linux-x64';
    const packed = await packProgram(
      { service, version: () => '1.0', platform, folder: join(dir, 'folder') },
      dir,
    );
    const at = join(dir, service, '1.0');
    const manifest = readFileSync(`${at}.manifest.json`);
    const statement = {
      kind: 'release' as const,
      service,
      version: '1.0',
      manifest: digestOf(manifest),
      signedAt: 1,
    };
    const signed: SignedRelease = signStatement(statement, bent.signer ?? KEYS.release);
    programs.push({ service, version: '1.0', identity: packed.identity, platform, size: 1, signed });
    files.set(
      `${service} manifest`,
      bent.manifest ? Buffer.from(manifest.toString().replace('"linux', '"Linux')) : manifest,
    );
    files.set(
      `${service} artifact`,
      bent.artifact ? Buffer.from(bent.artifact) : readFileSync(`${at}.tar.gz`),
    );
  }
  const keys = bent.by ?? KEYS;
  const replies: Record<string, unknown> = {
    'programs.list': programs,
    'trust.show': {
      root: ROOT,
      rootKey: publicText(keys.root.publicKey),
      trust: keys.trust(1, { keys: [publicText(KEYS.release.publicKey)] }),
      unsigned: [],
    },
    'floors.list': [],
  };
  const client = {
    controller: 'https://there',
    call: async (name: string) => replies[name],
    download: async (_: string, { params }: { params: { service: string; part: string } }) => {
      const bytes = files.get(`${params.service} ${params.part}`) ?? Buffer.alloc(0);
      return {
        size: bytes.length,
        content: (async function* () {
          yield bytes;
        })(),
      };
    },
  } as unknown as Client;
  return new Shelf(client, ROOT, join(dir, 'fetched'));
}

t.test('programs of a platform, verified and whole', async (t) => {
  const all = await shelf(t);
  const { node, agent } = await all.programsFor('linux-x64');
  t.match(
    [node, agent],
    [
      { service: 'fleet-node', main: 'bin/node' },
      { service: 'fleet-agent', main: 'agent.js' },
    ],
  );
  t.equal(digestOf(readFileSync(await all.artifact(agent))), agent.manifest.artifact.sha256);
  await t.rejects(all.programsFor('linux-arm64'), {
    code: 'no_programs',
    message: /no fleet-node for linux-arm64/,
  });
});

t.test('what somebody else than this fleet’s signers says is not put on a host', async (t) => {
  const put = async (all: Shelf) => all.artifact((await all.programsFor('linux-x64')).agent);
  await t.rejects(put(await shelf(t, { signer: makeSigningKey() })), { code: 'not_signed' });
  await t.rejects(put(await shelf(t, { manifest: true })), {
    code: 'not_signed',
    message: /not the one that was signed/,
  });
  await t.rejects(put(await shelf(t, { by: new Keys() })), {
    code: 'wrong_authority',
    message: /another root key than this login/,
  });
  await t.rejects(put(await shelf(t, { artifact: 'something else' })), { code: 'transfer_failed' });
});
