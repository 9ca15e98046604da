/** The recap's table, in the form that Ansible's users know. It is the last thing printed and stable: programs read it. */
import type { Recap, RecapHost } from '@fleet/protocol/api/recap.ts';
import type { Colors } from './channel.ts';
import { formatDuration } from './duration.ts';

const COLUMNS = {
  ok: 'green',
  changed: 'yellow',
  unreachable: 'red',
  failed: 'red',
  skipped: 'cyan',
  rescued: 'yellow',
  ignored: 'blue',
} as const satisfies Partial<Record<keyof RecapHost, keyof Colors>>;
const HOST_WIDTH = 26;

export function recapLines(recap: Recap, colors: Colors): string[] {
  const header = `RECAP ${recap.service} ${recap.version ?? '-'} ${recap.environment}, deployment ${recap.deployment}, ${formatDuration(recap.durationMs)}`;
  return [colors.bold(header), ...hostLines(recap.hosts, colors)];
}

/** One line a host; also where hosts are added. */
export function hostLines(hosts: readonly RecapHost[], colors: Colors): string[] {
  const width = Math.max(HOST_WIDTH, ...hosts.map(({ host }) => host.length));
  return hosts.map((host) => `${countLine(host.host, host, colors, width)} running=${host.running ?? '-'}`);
}

/** A host with its counts. */
export function countLine(
  host: string,
  counts: Record<keyof typeof COLUMNS, number>,
  colors: Colors,
  width = HOST_WIDTH,
): string {
  const told = Object.entries(COLUMNS).map(([name, color]) => {
    const count = counts[name as keyof typeof COLUMNS];
    const text = `${name}=${String(count).padEnd(4)}`;
    return count === 0 ? text : colors[color](text);
  });
  return `${host.padEnd(width)} : ${told.join(' ')}`;
}
