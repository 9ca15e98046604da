/** What the application's own programs printed and took, one after the other: all else is the tool's own time. */
import type { Host } from '../host.ts';

const LONGEST = 16 * 1024;

export interface Output {
  text: string;
  /** Bytes before `text` that are not here. */
  dropped: number;
}

export interface Ran {
  output: Output;
  ms: number;
}

export function noted(text: string): Ran {
  return { output: { text, dropped: 0 }, ms: 0 };
}

/** Something that prints nothing here, such as a supervisor at work. */
export async function timed({ clock }: Pick<Host, 'clock'>, act: () => Promise<void>): Promise<Ran> {
  const began = clock();
  await act();
  return { output: { text: '', dropped: 0 }, ms: clock() - began };
}

/** No longer than the end of one program's output. */
export function joined(all: Ran[]): Ran {
  const bytes = Buffer.from(all.map(({ output }) => output.text).join(''));
  const beyond = Math.max(0, bytes.length - LONGEST);
  return {
    output: {
      text: bytes.subarray(beyond).toString(),
      dropped: all.reduce((sum, { output }) => sum + output.dropped, beyond),
    },
    ms: all.reduce((sum, { ms }) => sum + ms, 0),
  };
}
