/** tap's own output passes through; the last line says how many passed and failed, as every other runner does. */
import { Transform } from 'node:stream';

const TOTALS = /^# \{ (.*) \}\s*$/gm;

export default class Reporter extends Transform {
  #end = '';

  _transform(chunk, _encoding, done) {
    this.#end = (this.#end + chunk).slice(-4096);
    done(null, chunk);
  }

  _flush(done) {
    const totals = [...this.#end.matchAll(TOTALS)].at(-1)?.[1];
    // No totals means that the run itself broke, which is a failure.
    const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals ?? 'fail: 1')?.[1] ?? 0);
    const skipped = count('skip') === 0 ? '' : `, ${count('skip')} skipped`;
    done(null, `\n${count('pass')} passed, ${count('fail')} failed${skipped}\n`);
  }
}
