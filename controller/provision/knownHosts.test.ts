import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { admitKey, preferredTypes } from './hostKey.ts';
import { fingerprintOf, readKnownHosts } from './knownHosts.ts';

const keyOf = (type: string, content: string) =>
  Buffer.concat([Buffer.from([0, 0, 0, type.length]), Buffer.from(type), Buffer.from(content)]);
const KEY = keyOf('ssh-ed25519', 'the host');
const OTHER = keyOf('ssh-ed25519', 'somebody else');
const RSA = keyOf('ssh-rsa', 'the host');
const line = (names: string, key: Buffer, marker = '') =>
  `${marker}${names} ${key.toString('latin1', 4, 4 + key[3]!)} ${key.toString('base64')} a comment\n`;
const hashed = (name: string) => {
  const salt = Buffer.from('0123456789abcdefghij');
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
};

t.test('a line of known_hosts is found as OpenSSH finds it', async (t) => {
  for (const [names, address, port, found] of [
    ['10.0.0.1', '10.0.0.1', 22, true],
    ['10.0.0.1', '10.0.0.1', 2222, false],
    ['[10.0.0.1]:2222', '10.0.0.1', 2222, true],
    ['[10.0.0.1]:2222', '10.0.0.1', 22, false],
    ['web-1,10.0.0.1', '10.0.0.1', 22, true],
    ['Web-1.Example.org', 'web-1.example.ORG', 22, true],
    ['*.example.org', 'web-1.example.org', 22, true],
    ['*.example.org,!web-1.example.org', 'web-1.example.org', 22, false],
    ['web-?', 'web-1', 22, true],
    ['web-?', 'web-10', 22, false],
    ['web.1', 'web-1', 22, false],
    [hashed('web-1'), 'web-1', 22, true],
    [hashed('web-1'), 'web-2', 22, false],
    [hashed('[web-1]:2222'), 'web-1', 2222, true],
  ] as const) {
    const file = join(t.testdir({ known: `# ours\n\n${line(names, KEY)}` }), 'known');
    const entries = readKnownHosts(['/nowhere', file]).of(address, port);
    t.equal(entries.length, found ? 1 : 0, `${names} and ${address} ${port}`);
    if (found) t.match(entries[0], { type: 'ssh-ed25519', revoked: false, at: `${file}:3` });
  }
});

/** What is said of a key by somebody who types `typed`, where they are asked. */
async function said(
  t: Test,
  known: string,
  key: Buffer,
  { typed, fingerprint }: { typed?: string; fingerprint?: string } = {},
) {
  const file = join(t.testdir({ known }), 'known');
  const asked: string[] = [];
  const told: string[] = [];
  const person = {
    askText: async (question: string) => {
      asked.push(question);
      return typed;
    },
    askSecret: async () => undefined,
    tell: (text: string) => told.push(text),
  };
  const meeting = {
    host: 'web-1',
    address: '10.0.0.1',
    port: 22,
    known: readKnownHosts([file]),
    fingerprint,
    person,
    file,
  };
  const outcome = await admitKey(key, meeting).then(
    () => 'admitted',
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  );
  return { outcome, asked, told };
}

t.test('no key is taken that nobody vouches for', async (t) => {
  const [right, wrong] = [fingerprintOf(KEY), fingerprintOf(OTHER)];
  t.match(await said(t, line('10.0.0.1', KEY), KEY), { outcome: 'admitted', asked: [] });
  t.match(await said(t, '', KEY), {
    outcome: /^host_key_unknown/,
    asked: [new RegExp(right.replace(/[+]/g, '\\+'))],
  });
  t.match(await said(t, '', KEY, { typed: right }), {
    outcome: 'admitted',
    told: [/echo '10\.0\.0\.1 ssh-ed25519 /],
  });
  for (const typed of ['', 'y', 'yes', right.slice(0, -1), right.toLowerCase(), wrong])
    t.match((await said(t, '', KEY, { typed })).outcome, /^host_key_unknown/, `typed ${typed}`);
  t.match(await said(t, '', KEY, { fingerprint: right }), { outcome: 'admitted', asked: [] });
  t.match(await said(t, '', KEY, { fingerprint: wrong, typed: right }), {
    outcome: /^host_key_changed/,
    asked: [],
  });
});

t.test('another key than the known one is refused, and nobody is asked', async (t) => {
  const right = fingerprintOf(OTHER);
  const changed = await said(t, line('10.0.0.1', KEY), OTHER, { typed: right });
  t.match(changed.outcome, /^host_key_changed/);
  for (const each of [fingerprintOf(KEY), right, 'known:1']) t.ok(changed.outcome.includes(each), each);
  t.same(changed.asked, []);
  t.match(
    (await said(t, line('10.0.0.1', RSA), KEY, { typed: fingerprintOf(KEY) })).outcome,
    /^host_key_changed: .*ED25519.*RSA/,
    'of another kind, too',
  );
  t.match(
    (await said(t, line('10.0.0.1', KEY, '@revoked '), KEY, { typed: fingerprintOf(KEY) })).outcome,
    /^host_key_changed: .*revoked/,
  );
  t.match(
    (
      await said(t, line('*', KEY, '@revoked ') + line('10.0.0.1', KEY), KEY, {
        fingerprint: fingerprintOf(KEY),
      })
    ).outcome,
    /revoked/,
  );
  t.match(
    (await said(t, line('10.0.0.1', KEY, '@cert-authority '), KEY)).outcome,
    /^host_key_unknown/,
    'nothing is believed because somebody signed it',
  );
});

t.test('a host that has several keys shows the one that is known', async (t) => {
  const file = join(t.testdir({ known: line('a', RSA) }), 'known');
  t.same(preferredTypes(readKnownHosts([file]).of('a', 22)).slice(0, 3), [
    'rsa-sha2-512',
    'rsa-sha2-256',
    'ssh-ed25519',
  ]);
  t.equal(preferredTypes([])[0], 'ssh-ed25519');
});
