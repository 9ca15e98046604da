import { getCompileCacheDir } from 'node:module';
import { Worker } from 'node:worker_threads';
import { asFleetError, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { JobName, Jobs } from './jobs.ts';

export type Answer<J extends JobName> = { output: Jobs[J]['output'] } | { error: ErrorBody };

/**
 * Runs a job in a thread of its own. Settles only after the thread has ended, whatever the result: from then on nothing
 * that the job opened is written to any more.
 */
export async function inThread<J extends JobName>(
  job: J,
  input: Jobs[J]['input'],
): Promise<Jobs[J]['output']> {
  const worker = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: { job, input },
    env: env(),
  });
  const answer = await new Promise<Answer<J>>((resolve) => {
    worker.once('message', resolve);
    worker.once('error', (error) => resolve({ error: asFleetError(error).toJSON() }));
    worker.once('exit', (code) => resolve({ error: endedEarly(job, code).toJSON() }));
  });
  await worker.terminate();
  if ('error' in answer) throw fromBody(answer.error);
  return answer.output;
}

function endedEarly(job: JobName, code: number): FleetError {
  return new FleetError('internal', `the thread for ${job} ended with ${code} and no answer`);
}

/** A thread takes part in the process's compile cache only when told: without it, loading it takes 60 ms more. */
function env(): NodeJS.ProcessEnv {
  const cache = getCompileCacheDir();
  return cache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: cache };
}
