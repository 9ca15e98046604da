/** Asks one of the host's own tools. */
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { ok, run } from '@fleet/process/run.ts';

const TIMEOUT_MS = 10_000;
const MOST_BYTES = 4 * 1024 * 1024;

/** What it printed; undefined where there is no such tool, or where it failed. */
export async function ask(argv: readonly string[]): Promise<string | undefined> {
  const ended = await run({
    argv,
    cwd: '/',
    env: cleanEnvironment(),
    timeoutMs: TIMEOUT_MS,
    tailBytes: MOST_BYTES,
  });
  return ok(ended) ? ended.output.text : undefined;
}
