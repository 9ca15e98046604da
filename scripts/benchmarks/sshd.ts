/** An sshd of our own on loopback, with its own keys, and a configuration of ssh in which each host's name leads to it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { freePorts } from '../local/ports.ts';
import { startProgram, waitUntil } from '../local/program.ts';
import { HOSTS } from './scene.ts';

export interface Sshd {
  /** For `ssh -F`. Connections are shared, and stay open for a minute after their last use. */
  config: string;
  /** Ends the shared connections: the next one is made anew. */
  disconnect(): void;
  stop(): Promise<void>;
}

/** Where Debian's sshd, run by root, puts the half of itself that has no rights. */
const SEPARATION = '/run/sshd';

export async function startSshd(): Promise<Sshd> {
  const [port = 0] = await freePorts(1);
  // A path of a socket holds about 100 characters: no deeper than this.
  const dir = mkdtempSync(join(tmpdir(), 'ssh-'));
  const at = (name: string) => join(dir, name);
  for (const key of ['host', 'user']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', at(key)]);
  }
  writeFileSync(at('known_hosts'), `[127.0.0.1]:${port} ${readFileSync(at('host.pub'), 'utf8')}`);
  writeFileSync(
    at('sshd_config'),
    `Port ${port}
ListenAddress 127.0.0.1
HostKey ${at('host')}
PidFile none
AuthorizedKeysFile ${at('user.pub')}
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
SetEnv PATH=${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin
`,
  );
  writeFileSync(
    at('ssh_config'),
    `Host ${HOSTS.join(' ')}
  HostName 127.0.0.1
  Port ${port}
  User ${userInfo().username}
  IdentityFile ${at('user')}
  IdentitiesOnly yes
  UserKnownHostsFile ${at('known_hosts')}
  BatchMode yes
  LogLevel ERROR
  ControlMaster auto
  ControlPath ${at('%n')}
  ControlPersist 60
`,
  );
  const made = process.getuid?.() === 0 && !existsSync(SEPARATION);
  if (made) mkdirSync(SEPARATION);
  const config = at('ssh_config');
  const program = startProgram(['/usr/sbin/sshd', '-D', '-e', '-f', at('sshd_config')], {
    cwd: dir,
    log: at('sshd.log'),
  });
  const disconnect = () => {
    for (const host of HOSTS.filter((host) => existsSync(at(host))))
      spawnSync('ssh', ['-F', config, '-O', 'exit', host], { stdio: 'ignore' });
  };
  const stop = async () => {
    disconnect();
    await program.stop();
    if (made) rmSync(SEPARATION, { recursive: true });
    rmSync(dir, { recursive: true });
  };
  await waitUntil('sshd listens', () => listens(port), program);
  return { config, disconnect, stop };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
