import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Enrolment } from '../enrol/enrolment.ts';
import type { Handlers, Served } from './handlers.ts';

type Names =
  | 'hosts.approve'
  | 'hosts.revoke'
  | 'identities.list'
  | 'joining.create'
  | 'joining.list'
  | 'joining.revoke'
  | 'agents.join'
  | 'agents.certify';

export function enrolment({ enrolment, store }: Served): Handlers<Names> {
  const on = (): Enrolment => {
    if (enrolment !== undefined) return enrolment;
    throw new FleetError('not_initialised', 'this controller runs in development: hosts need not join', {
      next: 'take `development: true` out of controller.yaml, and run fleet init controller',
    });
  };
  return {
    'hosts.approve': async ({ params: { host } }) => {
      if (!(await on().approve(host)))
        throw new FleetError('unknown_host', `no host ${host} waits to be let in`, {
          next: 'fleet hosts joined lists those that do',
        });
      return { approved: true };
    },
    'hosts.revoke': async ({ params: { host }, by }) => {
      if (!(await on().end(host, 'revoked', by)))
        throw new FleetError('unknown_host', `no host has joined as ${host}`, {
          next: 'fleet hosts joined lists them',
        });
      return { revoked: true };
    },
    'identities.list': async () => enrolment?.listIdentities() ?? [],
    'joining.create': ({ body, by }) => on().createToken(body, by),
    'joining.list': () => on().listTokens(),
    'joining.revoke': async ({ params: { id } }) => {
      if (!(await on().revokeToken(id)))
        throw new FleetError('bad_token', `there is no join token ${id} that could still be used`, {
          next: 'fleet token list',
        });
      return { revoked: true };
    },
    // Routes with a proof of their own write down what they do themselves: of a token that was shown whole, never of a guess.
    'agents.join': async ({ body, from }) => {
      const { statement, key } = body.proof;
      const row = { who: statement.host ?? 'a host', from, what: 'agents.join' };
      const about = { token: statement.token, key };
      try {
        const reply = await on().join(body);
        const details = { ...about, host: reply.host, state: reply.state };
        await store.audit.append({ ...row, outcome: 'done', details });
        return reply;
      } catch (error) {
        const { code, data } = asFleetError(error);
        if (code === 'bad_token' && data.token !== undefined)
          await store.audit.append({ ...row, outcome: 'refused', details: { ...about, code } });
        throw error;
      }
    },
    'agents.certify': ({ body: { proof } }) => on().certify(proof),
  };
}
