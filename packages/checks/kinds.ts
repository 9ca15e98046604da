/** Every kind of check. A new one is a file beside this one, a line here, and a test that runs the contract. */
import type { Check, CheckOf } from '@fleet/protocol/service.ts';
import type { Answer, CheckContext, CheckDriver } from './check.ts';
import { command } from './command.ts';
import { httpGet } from './http.ts';
import { tcp } from './tcp.ts';

const KINDS: { [K in Check['kind']]: CheckDriver<K> } = { http: httpGet, tcp, command };

export function tryCheck(check: Check, context: CheckContext): Promise<Answer> {
  return tryKind(check.kind, check, context);
}

function tryKind<K extends Check['kind']>(
  kind: K,
  check: CheckOf<K>,
  context: CheckContext,
): Promise<Answer> {
  return KINDS[kind].try(check, context);
}
