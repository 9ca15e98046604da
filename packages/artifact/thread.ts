/** The thread's own program: one job, one answer. */
import { parentPort, workerData } from 'node:worker_threads';
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Answer } from './inThread.ts';
import type { JobName, Jobs } from './jobs.ts';
import { packFolder } from './packFolder.ts';
import { unpackArchive } from './unpackArchive.ts';

type Runners = { [J in JobName]: (input: Jobs[J]['input']) => Promise<Jobs[J]['output']> };
const runners: Runners = { pack: packFolder, unpack: unpackArchive };

async function run<J extends JobName>(job: J, input: Jobs[J]['input']): Promise<Answer<J>> {
  try {
    return { output: await runners[job](input) };
  } catch (error) {
    return { error: asFleetError(error).toJSON() };
  }
}

const { job, input } = workerData as { job: JobName; input: Jobs[JobName]['input'] };
parentPort?.postMessage(await run(job, input));
