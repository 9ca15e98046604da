import { FleetError } from '@fleet/protocol/errors.ts';
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

export function enrolment({ enrolment }: Served): Handlers<Names> {
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
          next: 'fleet hosts lists those that do',
        });
      return { approved: true };
    },
    'hosts.revoke': async ({ params: { host }, by }) => {
      if (!(await on().end(host, 'revoked', by)))
        throw new FleetError('unknown_host', `no host has joined as ${host}`, {
          next: 'fleet hosts lists them',
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
    'agents.join': ({ body }) => on().join(body),
    'agents.certify': ({ body: { proof } }) => on().certify(proof),
  };
}
