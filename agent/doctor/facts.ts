/** What this machine is. */
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { parseEnv } from 'node:util';
import { PROTOCOL } from '@fleet/protocol/messages/hello.ts';
import type { MachineFacts } from '@fleet/protocol/messages/host.ts';
import self from '../package.json' with { type: 'json' };
import { ask } from './ask.ts';

/** Each prints `NAME VERSION` a line. */
const PACKAGE_MANAGERS = [
  ['dpkg-query', '--show', '--showformat=${binary:Package} ${Version}\\n'],
  ['rpm', '--query', '--all', '--queryformat', '%{NAME} %{VERSION}-%{RELEASE}\\n'],
  ['apk', 'list', '--installed', '--manifest'],
];
const MOST_PACKAGES = 10_000;

export async function machineFacts(packages: boolean): Promise<MachineFacts> {
  return {
    agent: self.version,
    node: process.versions.node,
    protocol: PROTOCOL,
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
    distribution: await distribution(),
    libc: libc(),
    packages: packages ? await installed() : null,
  };
}

async function distribution(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return (parseEnv(text).PRETTY_NAME ?? 'unknown').slice(0, 200);
}

function libc(): string {
  // Else it looks up the name of every address that it is connected to.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? 'musl' : `glibc ${header.glibcVersionRuntime}`;
}

async function installed(): Promise<Record<string, string> | null> {
  for (const argv of PACKAGE_MANAGERS) {
    const text = await ask(argv);
    if (text === undefined) continue;
    const lines = text.split('\n').filter((line) => line.includes(' '));
    return Object.fromEntries(
      lines.slice(0, MOST_PACKAGES).map((line) => {
        const [name = '', version = ''] = line.split(' ');
        return [name.slice(0, 200), version.slice(0, 200)];
      }),
    );
  }
  return null;
}
