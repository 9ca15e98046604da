/** tap's own output passes through; then what was skipped, by name, and last a line that says how many passed and failed. */
import { Transform } from 'node:stream';

const TOTALS = /^# \{ (.*) \}\s*$/;
const SKIPPED = /^ *ok \d+ - (.*) # SKIP ?(.*)$/;

export default class Reporter extends Transform {
  #line = '';
  // No totals means that the run itself broke, which is a failure.
  #totals = 'fail: 1';
  #skipped = [];

  _transform(chunk, _encoding, done) {
    const lines = (this.#line + chunk).split('\n');
    this.#line = lines.pop();
    for (const line of lines) this.#read(line);
    done(null, chunk);
  }

  #read(line) {
    this.#totals = TOTALS.exec(line)?.[1] ?? this.#totals;
    const [, name, why] = SKIPPED.exec(line) ?? [];
    if (name !== undefined) this.#skipped.push(`SKIPPED: ${name}${why ? `: ${why}` : ''}\n`);
  }

  _flush(done) {
    this.#read(this.#line);
    const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(this.#totals)?.[1] ?? 0);
    done(null, `\n${this.#skipped.join('')}${count('pass')} passed, ${count('fail')} failed\n`);
  }
}
