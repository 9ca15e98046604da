// Starts one of the programs, where Node is new enough for it.
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const LEAN = '--max-semi-space-size=1';

/** `load` gives the program's module; `daemon`: it stays; `cache`: what was compiled is kept for the next time. */
export async function start({ load, daemon = false, cache = true }, argv) {
  if (daemon && !process.execArgv.includes(LEAN)) goOnLean();
  // In the user's own directory, never in /tmp: whoever can write the cache decides what runs.
  if (cache)
    module.enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fleet'));
  const { main } = await load();
  try {
    await main(argv);
  } catch (thrown) {
    // Loaded only now: a program that starts well does not need it.
    const { reportFailure } = await import('../print/error.ts');
    process.exitCode = reportFailure(thrown);
  }
}

/**
 * Controller and agent run for months beside what a host is for. Left to itself V8 takes 40 MB more than they need before it
 * collects, and reads how much it may take at its start only: so this very process starts once more.
 */
function goOnLean() {
  const again = [process.execPath, ...process.execArgv, LEAN, ...process.argv.slice(1)];
  process.execve(process.execPath, again, { ...process.env, MALLOC_ARENA_MAX: '2' });
}
