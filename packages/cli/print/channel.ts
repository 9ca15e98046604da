/** One of the two streams that people read: finished lines, and on a live terminal one last line that changes. */
import type { WriteStream } from 'node:tty';
import picocolors from 'picocolors';

export type Colors = ReturnType<typeof picocolors.createColors>;
export interface Channel {
  /** A person looks at it right now: colours, and a line that updates. */
  live: boolean;
  colors: Colors;
  print(line: string): void;
  /** The line that changes; the next finished line takes its place. Nothing happens where it is not live. */
  update(line: string): void;
}

export function openChannel(
  stream: { write(text: string): unknown } & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>,
  environment: Readonly<Record<string, string | undefined>>,
): Channel {
  const { NO_COLOR, CI, TERM } = environment;
  const live = stream.isTTY === true && !NO_COLOR && !CI && TERM !== 'dumb';
  let shown = '';
  const draw = (line: string) => {
    if (line !== shown) stream.write(`\r\x1b[K${line}`);
    shown = line;
  };
  return {
    live,
    colors: picocolors.createColors(live),
    print(line) {
      if (shown) draw('');
      stream.write(`${line}\n`);
    },
    update(line) {
      if (live) draw(line.slice(0, (stream.columns || 80) - 1));
    },
  };
}
