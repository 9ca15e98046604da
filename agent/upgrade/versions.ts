/** Which releases of fleet's own programs this very process runs from, by where its files lie. */
import { relative, sep } from 'node:path';
import { OWN, type OwnService, versionName } from '@fleet/protocol/words.ts';

/** Null where it runs from somewhere else, such as a checkout. */
export type Versions = Readonly<Record<OwnService, string | null>>;

/** `root` with every link resolved; `agent` and `node`: the files that are executed, the same. */
export function versionsOf(root: string, { agent, node }: { agent: string; node: string }): Versions {
  return { [OWN.agent]: versionIn(root, OWN.agent, agent), [OWN.node]: versionIn(root, OWN.node, node) };
}

function versionIn(root: string, service: OwnService, file: string): string | null {
  const [home, releases, version, ...inside] = relative(root, file).split(sep);
  const ours = home === service && releases === 'releases' && inside.length > 0;
  return ours && versionName.safeParse(version).success ? version! : null;
}
