import { setTimeout as pause } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import type { CheckResult } from '@fleet/protocol/messages/check.ts';
import type { Check } from '@fleet/protocol/service.ts';
import type { Answer, CheckContext } from './check.ts';
import { tryCheck } from './kinds.ts';

/**
 * Run all checks at the same time, each until it passes or its `within` is over; `onceOnly` gives each one try. One try takes
 * no longer than the check's `timeout` and what is left of `within`. When `context.signal` aborts, all end and say so. Never
 * rejects; the results are in the order of the checks.
 */
export function runChecks(
  checks: readonly Check[],
  context: CheckContext,
  { onceOnly }: { onceOnly: boolean },
): Promise<CheckResult[]> {
  return Promise.all(checks.map((check) => runCheck(check, context, onceOnly)));
}

async function runCheck(check: Check, context: CheckContext, onceOnly: boolean): Promise<CheckResult> {
  const since = performance.now();
  const left = () => check.within - (performance.now() - since);
  let last: Answer = { passed: false, detail: 'it was not tried' };
  let tries = 0;
  const result = (detail = last.detail): CheckResult => {
    return {
      name: check.name,
      passed: last.passed,
      tries,
      ms: performance.now() - since,
      detail: oneLine(redacted(detail, context)),
    };
  };

  while (!context.signal.aborted) {
    const allowed = Math.min(check.timeout, Math.max(left(), 1), LONGEST_TIMER);
    const { answer, cut } = await tryFor(allowed, check, context);
    // A try that the abort ended says nothing about the service.
    if (context.signal.aborted && !answer.passed) break;
    // Nor does the last one, ended early because the time was over, while an earlier one was answered.
    if (cut && allowed < check.timeout && tries > 0) return result();
    tries++;
    last = answer;
    if (last.passed || onceOnly || left() <= check.interval) return result();
    await pause(Math.min(check.interval, LONGEST_TIMER), undefined, { signal: context.signal }).catch(
      () => {},
    );
  }
  return result(`cancelled; before that: ${last.detail}`);
}

/** `cut`: it did not pass in the milliseconds that it was allowed. */
async function tryFor(
  allowed: number,
  check: Check,
  context: CheckContext,
): Promise<{ answer: Answer; cut: boolean }> {
  const bounded = new AbortController();
  const end = () => bounded.abort();
  const timer = setTimeout(end, allowed);
  context.signal.addEventListener('abort', end, { signal: bounded.signal });
  try {
    const answer = await tryCheck(check, { ...context, signal: bounded.signal });
    return { answer, cut: bounded.signal.aborted && !answer.passed };
  } finally {
    clearTimeout(timer);
    end();
  }
}

/** Before it is made shorter: half of a secret is found by nobody. */
function redacted(text: string, { redact }: CheckContext): string {
  const pieces: Buffer[] = [];
  const filter = redact((piece) => pieces.push(Buffer.from(piece)));
  filter.push(Buffer.from(text));
  filter.end();
  return Buffer.concat(pieces).toString();
}

/** Node fires a longer timer at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
const LONGEST_LINE = 300;

/** A service chooses what is in a detail: no colours, no control characters, no second line reach a person's terminal. */
function oneLine(text: string): string {
  const plain = stripVTControlCharacters(text.slice(0, 10_000))
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\s]+/gu, ' ')
    .trim();
  const characters = [...plain];
  return characters.length <= LONGEST_LINE ? plain : `${characters.slice(0, LONGEST_LINE - 1).join('')}…`;
}
