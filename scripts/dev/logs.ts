/** What several programs write into the logs of one folder, line by line as it comes. */
import { closeSync, type FSWatcher, globSync, openSync, readSync, watch } from 'node:fs';
import { basename, join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';

type Tell = (who: string, text: string) => void;

export class LogReader {
  readonly #dir: string;
  readonly #tell: Tell;
  readonly #watcher: FSWatcher;
  readonly #seen = new Map<string, { bytes: number; decoder: StringDecoder; rest: string }>();
  readonly #buffer = Buffer.alloc(64 * 1024);

  constructor(dir: string, tell: Tell) {
    this.#dir = dir;
    this.#tell = tell;
    this.#watcher = watch(dir, (_, file) => {
      if (file?.endsWith('.log')) this.#readOn(file);
    });
    this.#watcher.on('error', (error) => tell('dev', `logs are no longer shown: ${error.message}`));
  }

  /** Tells what has come until now, too. */
  close(): void {
    this.#watcher.close();
    for (const file of globSync('*.log', { cwd: this.#dir })) this.#readOn(file);
  }

  #readOn(file: string): void {
    const seen = this.#seen.get(file) ?? { bytes: 0, decoder: new StringDecoder(), rest: '' };
    this.#seen.set(file, seen);
    const log = openSync(join(this.#dir, file), 'r');
    try {
      for (;;) {
        const bytes = readSync(log, this.#buffer, 0, this.#buffer.length, seen.bytes);
        if (bytes === 0) break;
        seen.bytes += bytes;
        seen.rest += seen.decoder.write(this.#buffer.subarray(0, bytes));
      }
    } finally {
      closeSync(log);
    }
    const lines = seen.rest.split('\n');
    seen.rest = lines.pop() ?? '';
    for (const line of lines) this.#tell(basename(file, '.log').replace(/^agent-/, ''), inWords(line));
  }
}

interface Logged {
  level: number;
  msg: string;
  err?: { stack?: string };
  [fact: string]: unknown;
}
/** The same on every line, or in the name before it. */
const LEFT_OUT = new Set(['level', 'msg', 'err', 'time', 'pid', 'hostname', 'host']);

/** `connected  url=ws://...`, out of what was logged as JSON; anything else as it is. */
function inWords(line: string): string {
  if (!line.startsWith('{"level"')) return line;
  const logged = JSON.parse(line) as Logged;
  const facts = Object.entries(logged)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const weight = logged.level >= 50 ? 'ERROR ' : logged.level >= 40 ? 'warning: ' : '';
  const stack = logged.err?.stack === undefined ? '' : `\n${logged.err.stack}`;
  return `${weight}${logged.msg}${facts.join('')}${stack}`;
}
