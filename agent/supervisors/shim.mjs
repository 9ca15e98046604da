// @ts-check
/**
 * The small process that stands between the agent and a service: it starts the program, starts it again when it crashes, and
 * keeps its log. It outlives the agent, so it knows nothing of it: what to run is in spec.json, how it stands in state.json,
 * and SIGTERM says that it is over.
 *
 * Plain JavaScript and nothing but Node's own modules, because a service is down for as long as this takes to load.
 */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';

const LOOK_EVERY_MS = 5;
/** Asleep at so many looks in a row, a program has done its starting. */
const CALM_LOOKS = 3;
const LONGEST_LOOK_MS = 500;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** Up for this long, a program has recovered from its crashes. */
const RECOVERED_MS = 10_000;

const home = process.argv[2] ?? '.';
/** @type {import('./spec.ts').ProcessSpec} */
const spec = JSON.parse(fs.readFileSync(join(home, 'spec.json'), 'utf8'));
const { stop } = spec.run;

/** @type {import('./state.ts').ShimState} */
const state = {
  version: spec.version,
  shim: identify(process.pid),
  program: null,
  state: 'starting',
  since: new Date().toISOString(),
  restarts: 0,
  last: null,
};
let stopping = false;
let reported = false;
let pause = FIRST_PAUSE_MS;
/** @type {NodeJS.Timeout | undefined} */
let again;
/** @type {NodeJS.Timeout | undefined} */
let recovered;

const log = openLog();
const output = await filtered();
// Held open for reading and writing, so that it never ends and programs can come and go.
const reader = fs.openSync(join(home, 'output'), fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
const writer = fs.openSync(join(home, 'output'), fs.constants.O_WRONLY);
// One buffer for whatever comes: a flood leaves no garbage.
const buffer = Buffer.allocUnsafe(64 * 1024);
/** @param {number} bytes */
const callback = (bytes) => {
  output.push(buffer.subarray(0, bytes));
  return true;
};
const incoming = new Socket({ fd: reader, readable: true, writable: false, onread: { buffer, callback } });
incoming.on('error', () => {});

process.on('SIGTERM', end);
process.on('SIGHUP', () => {});
process.on('SIGINT', () => {});
remember({});
launch();

function launch() {
  const [program = '', ...args] = [...(spec.prefix ?? []), ...spec.run.command];
  let ended = false;
  /** @param {import('./state.ts').ProgramEnd} how */
  const over = (how) => {
    if (ended) return;
    ended = true;
    clearTimeout(recovered);
    programEnded(how);
  };
  try {
    const child = spawn(program, args, {
      cwd: spec.release,
      env: { ...spec.environment, FLEET_RUN: home },
      detached: true,
      stdio: ['ignore', writer, writer],
    });
    child.once('exit', (code, signal) => over({ code, signal }));
    child.on('error', (error) => over({ code: null, signal: null, problem: error.message }));
    child.once('spawn', () => {
      const since = new Date().toISOString();
      remember({ program: identify(child.pid ?? 0), state: state.last ? 'failed' : 'running', since });
      recovered = setTimeout(() => {
        pause = FIRST_PAUSE_MS;
        remember({ state: 'running' });
      }, RECOVERED_MS);
      if (!reported) look(() => ended);
    });
  } catch (error) {
    over({ code: null, signal: null, problem: /** @type {Error} */ (error).message });
  }
}

/**
 * How long a look is long enough? A program that starts is busy, and so is one that is about to fail; one that sleeps has
 * come through. On a slow machine the look gets longer by itself, and it costs a fast program next to nothing.
 * @param {() => boolean} ended
 */
function look(ended) {
  const until = performance.now() + LONGEST_LOOK_MS;
  let calm = 0;
  const again = () => {
    if (ended() || stopping || !state.program) return;
    calm = statFields(state.program.pid)?.[0] === 'S' ? calm + 1 : 0;
    if (calm >= CALM_LOOKS || performance.now() >= until) report({ up: true });
    else setTimeout(again, LOOK_EVERY_MS);
  };
  setTimeout(again, LOOK_EVERY_MS);
}

/** @param {import('./state.ts').ProgramEnd} how */
function programEnded(how) {
  const group = state.program?.pid;
  if (stopping) return;
  // What the program left in its group would be in the way of the next one.
  if (group !== undefined) signalGroup(group, 'SIGKILL');
  drain();
  remember({ program: null, state: 'failed', last: { ...how, at: new Date().toISOString() } });
  log.note(`${spec.service} ${spec.version} ${inWords(how)}, is started again in ${pause} ms`);
  report({ up: false, ...how });
  again = setTimeout(() => {
    remember({ restarts: state.restarts + 1 });
    launch();
  }, pause);
  pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
}

/** Signal, grace, SIGKILL, each to the whole group; and when it is gone, so is the shim. */
function end() {
  if (stopping) return;
  stopping = true;
  clearTimeout(again);
  clearTimeout(recovered);
  remember({ state: 'stopping' });
  const group = state.program?.pid;
  if (group === undefined) return leave();
  signalGroup(group, stop.signal);
  const killAt = performance.now() + stop.grace;
  const look = () => {
    if (!groupLives(group)) return leave();
    if (performance.now() >= killAt) signalGroup(group, 'SIGKILL');
    setTimeout(look, 3);
  };
  look();
}

function leave() {
  drain();
  remember({ program: null, state: 'stopped' });
  process.exit(0);
}

/** @param {Partial<import('./state.ts').ShimState>} change */
function remember(change) {
  Object.assign(state, change);
  const path = join(home, 'state.json');
  try {
    fs.writeFileSync(`${path}.tmp`, JSON.stringify(state), { mode: 0o600 });
    fs.renameSync(`${path}.tmp`, path);
  } catch (error) {
    // A full disk must not take the service down with it.
    log.note(`state.json could not be written: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * What became of the first start, for the agent that waits for it on our stdout.
 * @param {import('./state.ts').Report} report
 */
function report(report) {
  if (reported) return;
  reported = true;
  try {
    fs.writeSync(1, `${JSON.stringify(report)}\n`);
  } catch {
    // the agent is gone already
  }
}

function openLog() {
  const path = join(home, 'log');
  const limit = (spec.run.log_size * 1024 * 1024) / 2;
  let fd = fs.openSync(path, 'a', 0o640);
  let size = fs.fstatSync(fd).size;
  let newline = true;
  /** @param {Buffer} chunk */
  const append = (chunk) => {
    try {
      if (size > 0 && size + chunk.length > limit) {
        fs.closeSync(fd);
        fs.renameSync(path, `${path}.1`);
        fd = fs.openSync(path, 'a', 0o640);
        size = 0;
      }
      for (let written = 0; written < chunk.length; ) {
        const bytes = fs.writeSync(fd, chunk, written);
        written += bytes;
        size += bytes;
      }
      newline = chunk.at(-1) === 0x0a;
    } catch {
      // The disk is full: what a service prints is lost before the service is.
    }
  };
  return {
    append,
    /** @param {string} text */
    note: (text) => append(Buffer.from(`${newline ? '' : '\n'}[fleet] ${text}\n`)),
  };
}

/** The secrets of the service do not get into its log. Only where there are any is there more to load. */
async function filtered() {
  if (!spec.secrets) return { push: log.append, end() {} };
  const { Redaction } = await import('@fleet/trust/redaction.ts');
  const secrets = Object.entries(spec.secrets).map(([name, value]) => ({ name, value }));
  return new Redaction(secrets).stream(log.append);
}

/** Takes what the program printed before it ended. */
function drain() {
  try {
    for (let left = 16; left > 0; left--) callback(fs.readSync(reader, buffer));
  } catch {
    // EAGAIN: it is empty
  }
  output.end();
}

/** @param {import('./state.ts').ProgramEnd} how */
function inWords({ problem, code, signal }) {
  if (problem) return `could not be started (${problem})`;
  return signal ? `was ended by ${signal}` : `ended with exit status ${code}`;
}

/**
 * @param {number} group
 * @param {NodeJS.Signals | 0} signal
 */
function signalGroup(group, signal) {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    // Another user's, which this one may not signal itself.
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPERM') return false;
    const [program = '', ...args] = spec.signaller ?? [];
    if (program && signal) spawnSync(program, [...args, signal.slice(3), String(group)], { stdio: 'ignore' });
    return true;
  }
}

/** @param {number} group */
function groupLives(group) {
  if (!signalGroup(group, 0)) return false;
  return fs.readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && isMember(pid, group));
}

/**
 * Zombies do not count: where nobody reaps orphans they stay for ever.
 * @param {string} pid
 * @param {number} group
 */
function isMember(pid, group) {
  const fields = statFields(pid);
  return fields !== undefined && Number(fields[2]) === group && fields[0] !== 'Z' && fields[0] !== 'X';
}

/** @param {number} pid */
function identify(pid) {
  const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { pid, start: Number(statFields(pid)?.[19]), boot };
}

/**
 * The fields of /proc/PID/stat after the name, which may hold anything.
 * @param {number | string} pid
 */
function statFields(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
