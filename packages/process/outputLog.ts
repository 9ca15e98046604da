/** A file that takes the whole output of a program. */
import { closeSync, openSync, writeSync } from 'node:fs';

export interface OutputLog {
  append(chunk: Buffer): void;
  /** What went wrong, if anything did: a program does not fail because its log does. */
  close(): string | undefined;
}

/** Written at once and not in the background: nothing piles up in memory, and nothing is lost when this process dies. */
export function openOutputLog(path: string | undefined): OutputLog {
  let fd: number | undefined;
  let problem: string | undefined;
  const attempt = (act: () => void) => {
    try {
      if (problem === undefined) act();
    } catch (error) {
      problem = `${path} could not be written: ${(error as Error).message}`;
    }
  };
  attempt(() => {
    fd = path === undefined ? undefined : openSync(path, 'a', 0o640);
  });
  return {
    append: (chunk) =>
      attempt(() => {
        for (let written = 0; fd !== undefined && written < chunk.length; )
          written += writeSync(fd, chunk, written);
      }),
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
      return problem;
    },
  };
}
