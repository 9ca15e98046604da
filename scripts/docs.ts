/**
 * The pages of docs/ that are made from the code: `node scripts/docs.ts` writes them, `node scripts/docs.ts --check` says
 * which are not up to date and exits 1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { api } from './docs/api.ts';
import { configuration } from './docs/configuration.ts';
import { errors } from './docs/errors.ts';

const DOCS = join(import.meta.dirname, '../docs');
const PAGES: Record<string, () => string> = {
  'configuration.md': configuration,
  'errors.md': errors,
  'api.md': api,
};

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
for (const [name, write] of Object.entries(PAGES)) {
  const path = join(DOCS, name);
  const [title, ...rest] = write().split('\n');
  const text = `${title}\n\n<!-- Made by \`node scripts/docs.ts\`; changes go into the code that it is made from. -->\n${rest.join('\n')}\n`;
  if (!values.check) writeFileSync(path, text);
  else if (readOrEmpty(path) !== text) {
    console.error(`docs/${name} is not up to date: run \`node scripts/docs.ts\``);
    process.exitCode = 1;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
