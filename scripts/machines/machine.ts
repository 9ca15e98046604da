/**
 * A machine that boots: Debian with systemd and sshd in a container of systemd-nspawn, with a disk of its own (a layer over the
 * base) and the network namespace that it is given. It reboots, and its power can be cut.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { waitUntil } from '../local/program.ts';
import { debianBase } from './base.ts';
import { command, PATH, tryCommand } from './commands.ts';

/** Both are joined before the boot: systemd takes the place where it finds itself for the root of all. */
const HIERARCHIES = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'].filter(existsSync);
const CGROUPS = HIERARCHIES.length > 0 ? HIERARCHIES : ['/sys/fs/cgroup'];
/** What nspawn ends with when the machine wants to boot again. */
const REBOOT = 133;

/**
 * Nspawn lives in mounts of its own, copies of what was there when it began: a disk of another run would stay in use, and come back
 * as it was left, for as long as this machine is on.
 */
const FORGET_OTHERS = `for at in $(cut -d ' ' -f 5 /proc/self/mountinfo); do case $at in "$0"/*) ;; ${tmpdir()}/*) umount -l "$at" ;; esac; done`;

export interface MachineOptions {
  /** Its host name, and its container's; unique on this machine. */
  name: string;
  /** Name of its network namespace. */
  namespace: string;
  /** Its disk is made here. */
  folder: string;
  /** May log in as root over SSH: a public key. */
  authorized?: string;
}

const MACHINE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export class Machine {
  readonly name: string;
  /** Its whole file system, seen from outside. */
  readonly root: string;
  readonly console: string;
  readonly #namespace: string;
  readonly #folder: string;
  #nspawn: ChildProcess | undefined;
  /** Whether it boots again by itself when it asks to. */
  #on = false;

  constructor({ name, namespace, folder, authorized }: MachineOptions) {
    this.name = name;
    this.#namespace = namespace;
    this.#folder = folder;
    this.root = join(folder, 'root');
    this.console = join(folder, 'console.log');
    const [upper, work] = [join(folder, 'upper'), join(folder, 'work')];
    for (const each of [this.root, upper, work]) mkdirSync(each, { recursive: true });
    const layers = `lowerdir=${debianBase()},upperdir=${upper},workdir=${work}`;
    command('mount', '-t', 'overlay', 'overlay', '-o', layers, this.root);
    writeFileSync(join(this.root, 'etc/hostname'), `${name}\n`);
    writeFileSync(join(this.root, 'etc/hosts'), `127.0.0.1 localhost\n127.0.1.1 ${name}\n`);
    // One that boots for the first time would make the same keys again otherwise: the base has some.
    for (const file of readdirSync(join(this.root, 'etc/ssh')))
      if (file.startsWith('ssh_host_')) rmSync(join(this.root, 'etc/ssh', file));
    command('ssh-keygen', '-q', '-A', '-f', this.root);
    if (authorized !== undefined) {
      mkdirSync(join(this.root, 'root/.ssh'), { recursive: true, mode: 0o700 });
      writeFileSync(join(this.root, 'root/.ssh/authorized_keys'), `${authorized}\n`, { mode: 0o600 });
    }
  }

  /** The public key of its sshd, as it stands in a known_hosts file after the address. */
  get hostKey(): string {
    const text = readFileSync(join(this.root, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
    return text.split(' ').slice(0, 2).join(' ');
  }

  /** Resolves when systemd has started all it wants and sshd listens. */
  async boot(): Promise<void> {
    this.#on = true;
    this.#start();
    await this.up();
  }

  async up(): Promise<void> {
    await waitUntil(`${this.name} is up`, () => this.#isUp(), undefined, 120_000);
  }

  #isUp(): boolean {
    if (this.#leader() === undefined) return false;
    const state = this.run(['systemctl', 'is-system-running']).stdout.trim();
    return state === 'running' || state === 'degraded';
  }

  #start(): void {
    for (const each of CGROUPS) mkdirSync(this.#cgroup(each), { recursive: true });
    const join = CGROUPS.map((each) => `echo $$ > ${this.#cgroup(each)}/cgroup.procs`).join(' && ');
    const argv = [
      'systemd-nspawn',
      '-q',
      `--directory=${this.root}`,
      '--boot',
      '--register=no',
      '--keep-unit',
      `--machine=${this.name}`,
      `--hostname=${this.name}`,
      `--network-namespace-path=/run/netns/${this.#namespace}`,
      '--console=pipe',
    ];
    const log = openSync(this.console, 'a');
    const begin = `${join} && ${FORGET_OTHERS} && exec "$@"`;
    const nspawn = spawn('unshare', ['--mount', 'sh', '-c', begin, this.#folder, ...argv], {
      stdio: ['ignore', log, log],
      env: { PATH },
      detached: true,
    });
    closeSync(log);
    nspawn.on('error', () => {});
    nspawn.once('exit', (code) => {
      if (this.#nspawn !== nspawn) return;
      this.#nspawn = undefined;
      if (code === REBOOT && this.#on) this.#start();
    });
    this.#nspawn = nspawn;
  }

  /** Runs a program on it, as its root, without SSH. */
  run(argv: readonly string[], input = ''): Ran {
    const leader = this.#leader();
    if (leader === undefined) return { code: null, stdout: '', stderr: `${this.name} is off` };
    // A clean environment is made on the machine: a test runner gives its own to every child, past what is asked for.
    const clean = ['env', '-i', `PATH=${MACHINE_PATH}`, 'LANG=C.UTF-8', ...argv];
    const enter = ['--target', String(leader), '--all', '--wdns=/', '--', ...clean];
    const { status, stdout, stderr } = spawnSync('nsenter', enter, {
      encoding: 'utf8',
      input,
      env: { PATH: MACHINE_PATH },
    });
    return { code: status, stdout, stderr };
  }

  /** Its systemd, as a process of the machine outside. */
  #leader(): number | undefined {
    const pid = this.#nspawn?.pid;
    if (pid === undefined) return undefined;
    for (const child of childrenOf(pid)) if (commOf(child) === 'systemd') return child;
    return undefined;
  }

  /** As a person does it: everything is told to end first. Resolves when it is up again. */
  async reboot(): Promise<void> {
    const before = this.#leader();
    this.run(['systemctl', 'reboot', '--no-block']);
    await waitUntil(`${this.name} goes down`, () => this.#leader() !== before);
    await this.up();
  }

  /** Every process is gone in one moment. What was not written to its disk is as lost as the layer's file system makes it. */
  async cutPower(): Promise<void> {
    this.#on = false;
    const nspawn = this.#nspawn;
    for (const each of CGROUPS) killAll(this.#cgroup(each));
    await waitUntil(
      `${this.name} is off`,
      () => nspawn === undefined || nspawn.exitCode !== null || nspawn.signalCode !== null,
    );
  }

  async remove(): Promise<void> {
    await this.cutPower();
    for (const each of CGROUPS.map((hierarchy) => this.#cgroup(hierarchy)).filter(existsSync)) {
      await waitUntil(`${this.name} has no processes`, () => pidsIn(each).length === 0);
      removeCgroups(each);
    }
    tryCommand('umount', '--recursive', this.root);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #cgroup(hierarchy: string): string {
    return join(hierarchy, `fleet-${this.name}`);
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text
      .split(' ')
      .filter((each) => each !== '')
      .map(Number);
  } catch {
    return [];
  }
}

function commOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** `cgroup.kill` where there is one (version 2), else each process until there is none. */
function killAll(cgroup: string): void {
  if (!existsSync(cgroup)) return;
  const all = join(cgroup, 'cgroup.kill');
  if (existsSync(all)) writeFileSync(all, '1');
  else for (const pid of pidsIn(cgroup)) kill(pid);
}

function pidsIn(cgroup: string): number[] {
  const own = readFileSync(join(cgroup, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
  return [...own, ...foldersIn(cgroup).flatMap(pidsIn)];
}

/** Of machines whose names end like this, and everything that runs on them. */
export function removeCgroup(ending: string): void {
  for (const each of CGROUPS.flatMap(foldersIn).filter((path) => path.endsWith(ending))) {
    if (!basename(each).startsWith('fleet-')) continue;
    killAll(each);
    // A process that was killed is gone a moment later.
    for (let tries = 0; tries < 50 && pidsIn(each).length > 0; tries += 1) tryCommand('sleep', '0.1');
    removeCgroups(each);
  }
}

function removeCgroups(cgroup: string): void {
  for (const each of foldersIn(cgroup)) removeCgroups(each);
  rmdirSync(cgroup);
}

function foldersIn(cgroup: string): string[] {
  return readdirSync(cgroup, { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => join(cgroup, name));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
