/** The thread's own program: one job, one answer. */
import { parentPort, workerData } from 'node:worker_threads';
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Answer } from './inThread.ts';
import type { JobName, Jobs } from './jobs.ts';

type Runner<J extends JobName> = (input: Jobs[J]['input']) => Promise<Jobs[J]['output']>;
/** Loaded when asked for: a thread lives for one job, and begins the sooner the less it has to read. */
const runners: { [J in JobName]: () => Promise<Runner<J>> } = {
  pack: async () => (await import('./packFolder.ts')).packFolder,
  unpack: async () => (await import('./unpackArchive.ts')).unpackArchive,
};

async function run<J extends JobName>(job: J, input: Jobs[J]['input']): Promise<Answer<J>> {
  try {
    return { output: await (await runners[job]())(input) };
  } catch (error) {
    return { error: asFleetError(error).toJSON() };
  }
}

const { job, input } = workerData as { job: JobName; input: Jobs[JobName]['input'] };
parentPort?.postMessage(await run(job, input));
