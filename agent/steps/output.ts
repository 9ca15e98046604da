/** What several programs printed, one after the other, no longer than one program's end of output. */
import { Buffer } from 'node:buffer';

const LONGEST = 16 * 1024;

export interface Output {
  text: string;
  /** Bytes before `text` that are not here. */
  dropped: number;
}

export function joinOutputs(outputs: Output[]): Output {
  const bytes = Buffer.from(outputs.map(({ text }) => text).join(''));
  const beyond = Math.max(0, bytes.length - LONGEST);
  return {
    text: bytes.subarray(beyond).toString(),
    dropped: outputs.reduce((sum, { dropped }) => sum + dropped, beyond),
  };
}
