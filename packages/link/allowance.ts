/**
 * What a peer may send that nobody asked it for. Answers to our questions, acknowledgements that move a stream on and chunks
 * within their credit are bounded by what we began, and are free; all else is counted, so that a peer that floods us costs its
 * own connection and nothing more.
 */
export interface Allowance {
  /** Messages at once; one of more than 64 KiB counts as several. */
  burst: number;
  /** Messages that come back into the allowance each second. */
  perSecond: number;
}

/** Bytes that count as one message. */
const WEIGHT = 64 * 1024;

/** Takes a message of `bytes` from the allowance; false where it is used up. `now`: monotonic milliseconds. */
export function createAllowance(
  { burst, perSecond }: Allowance,
  now: () => number = () => performance.now(),
): (bytes: number) => boolean {
  let left = burst;
  let since = now();
  return (bytes) => {
    const at = now();
    left = Math.min(burst, left + ((at - since) / 1000) * perSecond);
    since = at;
    left -= Math.max(1, bytes / WEIGHT);
    return left >= 0;
  };
}
