/** The team's command, as it may be written, and as it may fail. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { borrow, giveBack } from './borrow.ts';

const KEY = 'AAAAC3NzaC1lZDI1NTE5AAAAIJfcqDH0';
const NEVER = new AbortController().signal;

/** `script` of sh: its $1 is the verb, its $2 the name. */
function lender(t: Test, script: string) {
  const dir = t.testdir({ 'throw away': `#!/bin/sh\n${script}\n` });
  const told: string[] = [];
  return {
    ...{ dir, told, name: 'rehearsal-web-1', command: `sh '${join(dir, 'throw away')}'` },
    tell: (line: string) => void told.push(line),
  };
}

t.test('JSON, and lines of KEY=VALUE', async (t) => {
  const json = lender(
    t,
    `echo hello >&2; echo '{"address":"10.0.0.9","host_key":"ssh-ed25519 ${KEY} root@web","port":"2222"}'`,
  );
  t.strictSame(await borrow(json, 10_000, NEVER), {
    ...{ address: '10.0.0.9', port: 2222, user: undefined, keyFile: undefined, fingerprint: undefined },
    known: `[10.0.0.9]:2222 ssh-ed25519 ${KEY}`,
  });
  t.strictSame(json.told, ['hello']);
  const lines = lender(
    t,
    `echo "ADDRESS=web.example.org"; echo "host-key='somebody,else ssh-ed25519 ${KEY}'"; echo user=admin; echo key_file=id`,
  );
  t.match(await borrow(lines, 10_000, NEVER), {
    ...{ address: 'web.example.org', port: 22, user: 'admin' },
    known: `web.example.org ssh-ed25519 ${KEY}`,
    keyFile: join(process.cwd(), 'id'),
  });
});

t.test('who answers is never taken on trust, and what is no host is refused', async (t) => {
  for (const [printed, why] of [
    ['{"address":"10.0.0.9"}', /host_key or fingerprint/],
    ['{"address":"-oProxyCommand=x","fingerprint":"SHA256:x"}', /address is no address; fingerprint/],
    ['{"address":"10.0.0.9","host_key":"nothing"}', /host_key is no public key/],
    ['{"address":', /no host/],
    ['', /no host/],
  ] as const)
    await t.rejects(
      borrow(lender(t, `echo '${printed}'`), 10_000, NEVER),
      { code: 'borrow_failed', message: why },
      printed,
    );
});

t.test('a command that fails, hangs, or is stopped', async (t) => {
  await t.rejects(borrow(lender(t, 'echo no room >&2; exit 3'), 10_000, NEVER), {
    message: /up rehearsal-web-1 ended with 3/,
    data: { output: 'no room\n' },
    next: /try it by hand: sh .*up rehearsal-web-1/,
  });
  const hanging = lender(t, `trap 'touch "$0.ended"; exit 1' TERM; while :; do sleep 0.05; done`);
  await t.rejects(borrow(hanging, 300, NEVER), { message: /did not end within/ });
  t.ok(existsSync(join(hanging.dir, 'throw away.ended')), 'it was told to end, and has ended');
  const stop = new AbortController();
  const stopped = borrow(lender(t, 'sleep 60'), 60_000, stop.signal);
  stop.abort();
  await t.rejects(stopped, { message: /was stopped/ });
});

t.test('giving back', async (t) => {
  const good = lender(t, 'echo "$1 $2" > "$0.asked"');
  await giveBack(good, 10_000);
  t.equal(readFileSync(join(good.dir, 'throw away.asked'), 'utf8'), 'down rehearsal-web-1\n');
  await t.rejects(giveBack(lender(t, 'exit 1'), 10_000), {
    code: 'borrow_failed',
    next: /may still be there: sh .* down rehearsal-web-1/,
  });
});

t.test('names are words, whatever a shell makes of the command', async (t) => {
  const dir = t.testdir({});
  const odd = { dir, told: [], name: '$(touch x)', command: 'printf "%s|" >&2', tell: () => {} };
  await t.rejects(borrow(odd, 10_000, NEVER), { message: /no host/ });
  t.notOk(existsSync('x'));
});
