/** What agent and `settle` leave each other: see packages/units/settle.ts, which has their form. */
import { join } from 'node:path';
import { OWN } from '@fleet/protocol/words.ts';
import { NOTES, versionsLine } from '@fleet/units/settle.ts';
import type { Disk } from '../disk/disk.ts';
import { ifThere, makeDirectory, syncPath, writeDurably } from '../disk/durable.ts';
import { homeOf } from '../releases/layout.ts';
import type { Versions } from './versions.ts';

/** How a release that was tried and taken back has ended. */
export interface Failed {
  boot: string;
  /** In systemd's words: `timeout`, `exit-code exited 3`. Undefined where its host ended with it. */
  result: string | undefined;
}

export interface OwnNotes {
  /** What last had its hello answered. Undefined on a host where nothing had yet. */
  proven(): Promise<string | undefined>;
  /** Durably; what was tried is no trial any more. */
  prove(versions: Versions): Promise<void>;
  /** Undefined unless it is about this release. */
  failed(versions: Versions): Promise<Failed | undefined>;
  /** Before something is tried anew. */
  forget(): Promise<void>;
}

/** Undefined where it runs from no release: then there is nothing to write down. */
export function lineOf(versions: Versions): string | undefined {
  const [agent, node] = [versions[OWN.agent], versions[OWN.node]];
  return agent === null || node === null ? undefined : versionsLine(agent, node);
}

export function openNotes(root: string, disk: Disk): OwnNotes {
  const folder = homeOf(root, OWN.agent, disk).run;
  const path = (note: keyof typeof NOTES) => join(folder, NOTES[note]);
  const read = async (note: keyof typeof NOTES) =>
    (await ifThere(disk.readFile(path(note), 'utf8')))?.trimEnd().split('\n');
  const remove = async (...notes: Array<keyof typeof NOTES>) => {
    for (const note of notes) await disk.rm(path(note), { force: true });
    await syncPath(disk, folder);
  };

  return {
    proven: async () => (await read('proven'))?.[0],
    async prove(versions) {
      const line = lineOf(versions);
      if (line === undefined) return;
      await makeDirectory(disk, folder, 0o700);
      if ((await read('proven'))?.[0] !== line) await writeDurably(disk, path('proven'), `${line}\n`);
      if ((await read('tried')) !== undefined) await remove('tried');
    },
    async failed(versions) {
      const [line, boot = '', result] = (await read('failed')) ?? [];
      return line !== undefined && line === lineOf(versions) ? { boot, result: result?.trim() } : undefined;
    },
    async forget() {
      await makeDirectory(disk, folder, 0o700);
      await remove('tried', 'failed');
    },
  };
}
