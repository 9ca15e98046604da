/** The licences of what others wrote, which go where it goes. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { ROOT } from './code.ts';

const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/** One text for all packages of which any file went in. */
export function licencesOf({ inputs }: Metafile): string {
  const folders = Object.keys(inputs).flatMap((path) => PACKAGE.exec(path)?.[1] ?? []);
  return [...new Set(folders)].sort().map(licenceOf).join('\n');
}

function licenceOf(folder: string): string {
  const at = join(ROOT, folder);
  const { name, version, license } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')) as Record<
    string,
    string
  >;
  const file = readdirSync(at).find((each) => /^licen[cs]e/i.test(each));
  const text = file !== undefined && existsSync(join(at, file)) ? readFileSync(join(at, file), 'utf8') : '';
  return `${name} ${version} (${license})\n${'-'.repeat(72)}\n${text.trim()}\n`;
}
