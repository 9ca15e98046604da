/** What every kind of check must do, whatever it asks. */
import { type Check, check as checkSchema } from '@fleet/protocol/service.ts';
import type { Test } from 'tap';
import type { CheckContext } from './check.ts';
import { runChecks } from './runChecks.ts';

export interface Situations {
  /** The kind's own members of a check that passes, those that take a value written as `${VALUE}`, and its value. */
  passing: { check: object; value: string };
  /** One that answers that all is not well, and what of that must be in the detail. */
  failing: { check: object; detail: RegExp };
  /** One that fails twice or more and then passes. */
  later(): Promise<object>;
  /** One that never ends by itself. */
  hanging: object;
}

export const CONTEXT: CheckContext = {
  values: { VERSION: '1.4.2' },
  cwd: '/',
  environment: { PATH: '/usr/bin:/bin' },
  signal: new AbortController().signal,
  redact: (take) => ({ push: take, end() {} }),
};

/** A check as fleet.yaml writes it, with the defaults filled in; quick, unless it says otherwise. */
export function checkOf(members: object): Check {
  return checkSchema.parse({ name: 'probe', interval: '5ms', ...members });
}

export async function checkContract(t: Test, situations: Situations): Promise<void> {
  const { passing, failing, later, hanging } = situations;
  const once = async (members: object, context = CONTEXT) =>
    (await runChecks([checkOf(members)], context, { onceOnly: true }))[0]!;
  const untilPassed = async (members: object, context = CONTEXT) =>
    (await runChecks([checkOf(members)], context, { onceOnly: false }))[0]!;

  await t.test('passes, with a value put in', async (t) => {
    const values = { ...CONTEXT.values, VALUE: passing.value };
    t.match(await once(passing.check, { ...CONTEXT, values }), { name: 'probe', passed: true, tries: 1 });
  });
  await t.test('once only is one try', async (t) => {
    t.match(await once(failing.check), { passed: false, tries: 1, detail: failing.detail });
  });
  await t.test('is tried until it passes', async (t) => {
    const result = await untilPassed(await later());
    t.match(result, { passed: true });
    t.ok(result.tries >= 3);
  });
  await t.test('never passes: the last answer is told when the time is over', async (t) => {
    const result = await untilPassed({ ...failing.check, within: '300ms' });
    t.match(result, { passed: false, detail: failing.detail });
    t.ok(result.tries > 1);
  });
  await t.test('hangs: a try is bounded by its timeout', async (t) => {
    const result = await untilPassed({ ...hanging, timeout: '50ms', within: '2s' });
    t.match(result, { passed: false, detail: /in time/ });
    t.ok(result.tries > 1, 'there was time for others');
  });
  await t.test('hangs: all tries together are bounded by within', async (t) => {
    t.match(await untilPassed({ ...hanging, timeout: '1h', within: '100ms' }), {
      passed: false,
      tries: 1,
      detail: /in time/,
    });
  });
  await t.test('hangs and is aborted', async (t) => {
    const abort = new AbortController();
    const running = untilPassed(
      { ...hanging, timeout: '1h', within: '1h' },
      { ...CONTEXT, signal: abort.signal },
    );
    setTimeout(() => abort.abort(), 50);
    t.match(await running, { passed: false, tries: 0, detail: /^cancelled/ });
  });
  await t.test('aborted before it began, it is not tried', async (t) => {
    const context = { ...CONTEXT, signal: AbortSignal.abort() };
    t.match(await untilPassed(passing.check, context), { passed: false, tries: 0, detail: /^cancelled/ });
  });
}
