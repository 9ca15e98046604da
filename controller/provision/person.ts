/** Whoever adds hosts, at a terminal or not: one question at a time, however many hosts are at work. */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

export interface Person {
  /** Undefined where there is no terminal, or none types. */
  askText(question: string): Promise<string | undefined>;
  /** What is typed is not shown. */
  askSecret(question: string): Promise<string | undefined>;
  tell(line: string): void;
}

export interface Terminal {
  stdin: NodeJS.ReadStream;
  stderr: NodeJS.WriteStream;
  /** Lets what else is printed step aside. */
  print(line: string): void;
  stopped: AbortSignal;
}

export function personAt(terminal: Terminal): Person {
  /** The question that is open, and those that wait behind it. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work, work);
    last = mine;
    return mine;
  };
  return {
    askText: (question) => inTurn(() => ask(terminal, question, true)),
    askSecret: (question) => inTurn(() => ask(terminal, question, false)),
    tell: (line) => terminal.print(line),
  };
}

async function ask(
  { stdin, stderr, print, stopped }: Terminal,
  question: string,
  shown: boolean,
): Promise<string | undefined> {
  if (!stdin.isTTY || !stderr.isTTY || stopped.aborted) return undefined;
  print('');
  const output = shown ? stderr : new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: stdin, output, terminal: true });
  // Ctrl-C goes to the reader alone while it reads, and is meant for the program.
  let interrupted = false;
  reader.on('SIGINT', () => {
    interrupted = true;
    process.kill(process.pid, 'SIGINT');
  });
  // Only now does the terminal no longer show by itself what is typed. A reader that shows draws its question, too.
  if (!shown) stderr.write(question);
  try {
    const typed = reader.question(shown ? question : '', { signal: stopped });
    // Ctrl-D closes the reader, and then the question is never answered.
    const answer = await Promise.race([
      typed.catch(() => undefined),
      once(reader, 'close').then(() => undefined),
    ]);
    if (!shown) stderr.write('\n');
    if (!interrupted) return answer;
    // A signal is told of a little later.
    if (!stopped.aborted) await once(stopped, 'abort');
    return undefined;
  } finally {
    reader.close();
  }
}
