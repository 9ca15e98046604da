import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HALT, LAUNCH } from './launch.ts';
import { haltingText, type Recipe, recipeText } from './recipe.ts';

const SHELLS = ['/bin/dash', '/bin/bash'].filter(existsSync);
/** Prints what it was given, all of it, in a form that no byte gets lost in. */
const TELL = `console.log(JSON.stringify({ argv: process.argv.slice(1), env: process.env, cwd: process.cwd(), pid: process.pid }))`;
const ODD = [
  '$(touch EVIL)',
  '`touch EVIL`',
  "'; touch EVIL; '",
  '"\\"$HOME',
  'a\nb\n\n',
  '  two  blanks ',
  '\\0101 \\n \\c \\',
  '-n',
  '*',
  'ä→\u{1F600}',
  '',
  '#!%s%b',
];

/** Bash has two of its own, always. */
function ofProgram({ _, SHLVL, ...others }: Record<string, string>) {
  return others;
}

function prepared(t: Test, recipe: Partial<Recipe>) {
  const dir = t.testdir({ release: {} });
  const directory = join(dir, 'release');
  const whole = {
    directory,
    argv: [process.execPath, '-e', TELL, '--', ...ODD],
    environment: {},
    notify: false,
  };
  writeFileSync(join(dir, 'recipe'), recipeText({ ...whole, ...recipe }));
  writeFileSync(join(dir, 'launch'), LAUNCH);
  return { dir, directory };
}

for (const shell of SHELLS) {
  t.test(`${shell}: the program has its argv and its environment, and nothing else`, async (t) => {
    const values = Object.fromEntries(ODD.map((value, index) => [`ODD_${index}`, value]));
    const environment = {
      ...values,
      ...{ PATH: '/nowhere', IFS: 'x', UID: '7', fleet_value: 'mine', PWD: '/not/here', LANG: 'C' },
      LD_LIBRARY_PATH: '/nowhere',
    };
    const { dir, directory } = prepared(t, { environment });
    const env = {
      PATH: '/usr/bin:/bin',
      INVOCATION_ID: 'i',
      JOURNAL_STREAM: 'j',
      HOME: '/h',
      ODD: 'a\nSTRAY=1',
    };
    const { stdout, stderr, pid, status } = spawnSync(shell, [join(dir, 'launch'), join(dir, 'recipe')], {
      encoding: 'utf8',
      env,
      cwd: dir,
    });
    t.equal(status, 0, stderr);
    const told = JSON.parse(stdout);
    t.strictSame(told.argv, ODD);
    t.strictSame(ofProgram(told.env), environment);
    t.equal(told.cwd, directory);
    t.equal(told.pid, pid, 'it has taken the place of the shell');
    t.notOk(existsSync(join(directory, 'EVIL')) || existsSync(join(dir, 'EVIL')));
  });

  t.test(`${shell}: one that says READY itself keeps what it says it by`, async (t) => {
    const { dir } = prepared(t, { notify: true, environment: { A: 'b' } });
    const env = {
      PATH: '/usr/bin:/bin',
      NOTIFY_SOCKET: '@not-there',
      WATCHDOG_USEC: '9',
      INVOCATION_ID: 'i',
    };
    const { stdout } = spawnSync(shell, [join(dir, 'launch'), join(dir, 'recipe')], {
      encoding: 'utf8',
      env,
    });
    t.strictSame(ofProgram(JSON.parse(stdout).env), {
      A: 'b',
      NOTIFY_SOCKET: '@not-there',
      WATCHDOG_USEC: '9',
    });
  });

  t.test(`${shell}: half a recipe is none`, async (t) => {
    const { dir } = prepared(t, {});
    const path = join(dir, 'recipe');
    const text = recipeText({ directory: dir, argv: ['true'], environment: {}, notify: false });
    writeFileSync(path, text.slice(0, -5));
    const { status, stderr } = spawnSync(shell, [join(dir, 'launch'), path], { encoding: 'utf8' });
    t.equal(status, 78);
    t.match(stderr, 'is not whole');
  });
}

t.test('what is asked to end has its time, and no more', async (t) => {
  const dir = t.testdir({ halt: HALT });
  chmodSync(join(dir, 'halt'), 0o755);
  mkdirSync(join(dir, 'run'));
  const halting = join(dir, 'run', 'halt');
  const grace = 400;
  writeFileSync(halting, haltingText({ signal: 'SIGINT', grace }));
  /** Ends at SIGINT, says so, or hears nothing at all. */
  const outcome = (trap: string) =>
    execFileSync(
      'bash',
      [
        '-c',
        `set -m; bash -c '${trap}; echo up; while :; do sleep 0.05; done' > "$0/said" & pid=$!
         until grep -q up "$0/said"; do sleep 0.01; done
         MAINPID=$pid sh "$0/halt" "$1"; if kill -0 $pid 2>/dev/null; then echo lives; kill -KILL -- -$pid; else cat "$0/said"; fi`,
        dir,
        halting,
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
  t.equal(outcome('trap "echo heard; exit" INT'), 'up\nheard\n');
  t.equal(outcome('trap "" INT'), 'lives\n', 'systemd kills what is left');
  writeFileSync(halting, 'TERM a[$(touch${IFS}EVIL)]\n');
  t.equal(outcome('trap "echo heard; exit" TERM'), 'up\nheard\n', 'what is no number is taken for none');
  t.notOk(existsSync('EVIL'));
  t.equal(spawnSync('sh', [join(dir, 'halt'), halting], { env: {} }).status, 0, 'nothing runs');
});
