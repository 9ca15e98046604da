import type { Client } from '@fleet/cli/client.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t from 'tap';
import { joiningOf } from './joining.ts';
import type { Root } from './root.ts';

const ACT = { by: 'join', again: false, script: 'join', args: [] } as const;
const LOST = new FleetError('ssh_lost', 'web-1: the connection was lost');

/** A controller where `answers` say what a route says, and a host where joining ends so. */
function scene(root: Partial<Root>, answers: Record<string, unknown> = {}) {
  const asked: string[] = [];
  const client = {
    call: async (name: string, question: object) => {
      asked.push(`${name} ${JSON.stringify(question)}`);
      const answer = answers[name];
      if (answer instanceof Error) throw answer;
      return (
        answer ??
        (name === 'joining.create' ? { id: 'tok', joinString: 'fleet1.x' } : name.endsWith('.list') ? [] : {})
      );
    },
  } as unknown as Client;
  const joining = joiningOf({ client, host: 'web-1', labels: {}, url: 'https://a' });
  const join = () =>
    joining.join({ host: 'web-1', run: async () => ({ code: 0, stdout: '', stderr: '' }), ...root }, ACT);
  return { join, asked };
}
const identity = (token: string) => ({ host: 'web-1', token, state: 'active' });

t.test('the string goes through stdin alone, and the token is for this host, once', async (t) => {
  const seen: unknown[] = [];
  const { join, asked } = scene({
    run: async (script, more) => {
      seen.push(script, more?.args, more?.stdin);
      return { code: 0, stdout: '', stderr: '' };
    },
  });
  await join();
  t.same(seen, ['join', [], 'fleet1.x\n']);
  t.match(asked, [/^joining\.create .*"host":"web-1","uses":1/]);
});

t.test('whoever did not join for certain has not: token and identity are taken back', async (t) => {
  const lost = async () => Promise.reject(LOST);
  const before = scene({ run: lost });
  await t.rejects(before.join(), { code: 'ssh_lost' });
  t.match(before.asked.slice(1), [/^joining\.revoke .*tok/, /^identities\.list/]);

  const after = scene(
    { run: lost },
    { 'joining.revoke': new FleetError('bad_token', 'used up'), 'identities.list': [identity('tok')] },
  );
  await t.rejects(after.join(), { code: 'ssh_lost' });
  t.match(after.asked.at(-1), /^hosts\.forget .*web-1/);

  const another = scene({ run: lost }, { 'identities.list': [identity('other')] });
  await t.rejects(another.join(), { code: 'ssh_lost' });
  t.notMatch(another.asked.join(), 'hosts.forget', 'a host that has joined otherwise stays');

  const said = scene({
    run: async () => ({ code: 3, stdout: '', stderr: 'error: it is used up\nnext: make one\n' }),
  });
  await t.rejects(said.join(), {
    code: 'act_failed',
    message: 'web-1 did not join: it is used up',
    next: 'make one',
  });
});

t.test('where that cannot be done, it says how', async (t) => {
  const away = new FleetError('controller_unreachable', 'nobody there');
  const { join } = scene({ run: async () => Promise.reject(LOST) }, { 'joining.revoke': away });
  await t.rejects(join(), {
    code: 'ssh_lost',
    message: /could not be revoked: nobody there/,
    next: /fleet token revoke tok; .*fleet hosts forget web-1/,
  });
});
