/** What README and docs say is so: pages are up to date, links and paths lead somewhere, command lines and codes exist. */
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { runFleet } from '@fleet/cli/fleetProgram.ts';
import { overview } from '@fleet/cli/help.ts';
import { VERBS } from '@fleet/cli/verbs.ts';
import { FILES, type FileName } from '@fleet/config/files.ts';
import { jsonSchema } from '@fleet/config/schema.ts';
import { CODES } from '@fleet/protocol/errors.ts';
import t from 'tap';
import { PRINTED } from '../controller/rehearse/borrow.ts';

const ROOT = join(import.meta.dirname, '..');
const pages = new Map(
  globSync(['*.md', 'docs/*.md'], { cwd: ROOT }).map((file) => [
    file,
    readFileSync(join(ROOT, file), 'utf8'),
  ]),
);
const FENCED = /^```.*\n([\s\S]*?)^```/gm;
const INLINE = /`([^`\n]+)`/g;

/** Blocks, by fence or by indentation, and what stands between backticks. */
function codeIn(page: string): string[] {
  const blocks = [...page.matchAll(FENCED)].map((match) => match[1] ?? '');
  const rest = page.replace(FENCED, '');
  const indented = rest.split('\n').filter((line) => line.startsWith('    '));
  return [...blocks.flatMap((block) => block.split('\n')), ...indented, ...inlineIn(page)];
}
function inlineIn(page: string): string[] {
  return [...page.replace(FENCED, '').matchAll(INLINE)].map((match) => match[1] ?? '');
}

t.test('pages made from the code are up to date', async (t) => {
  const script = join(ROOT, 'scripts/docs.ts');
  const { stderr } = await promisify(execFile)(process.execPath, [script, '--check']).catch(
    (error: { stderr: string }) => error,
  );
  t.equal(stderr, '');
});

t.test('links lead somewhere', async (t) => {
  /** As a page's own links name its headings. */
  const anchorsIn = (page: string) =>
    [...page.replace(FENCED, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
  let links = 0;
  for (const [file, page] of pages) {
    for (const [, path = '', anchor = ''] of page.matchAll(/\]\(([^)#\s]*)(#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(path)) continue;
      links++;
      const target = path === '' ? file : join(dirname(file), path);
      t.ok(existsSync(join(ROOT, target)), `${file}: ${path}${anchor}`);
      if (anchor !== '')
        t.ok(anchorsIn(pages.get(target) ?? '').includes(anchor.slice(1)), `${file}: ${path}${anchor}`);
    }
  }
  t.ok(links > 20);
});

t.test('paths of the repository exist', async (t) => {
  const PATH = /^(?:protocol|packages|controller|agent|scripts|test|docs)\/[\w./-]+$/;
  let paths = 0;
  for (const [file, page] of pages)
    for (const path of inlineIn(page)) {
      if (!PATH.test(path)) continue;
      paths++;
      // NAME stands for what the reader is about to write; its folder is there.
      const there = /[A-Z]{4}/.test(path) ? dirname(path) : path;
      t.ok(existsSync(join(ROOT, there)), `${file}: ${path}`);
    }
  t.ok(paths > 20);
});

t.test('command lines: verb and options are those of the program', async (t) => {
  const verbs = Object.values(VERBS).flat();
  const helps = new Map<string, Promise<string>>();
  const helpOf = (words: string) => {
    const help = helps.get(words) ?? runFleet([...words.split(' '), '--help']).then(({ stdout }) => stdout);
    helps.set(words, help);
    return help;
  };
  let lines = 0;
  for (const [file, page] of pages)
    for (const code of codeIn(page))
      for (const [, line = ''] of code.matchAll(/(?:^|[\s(])fleet ([a-z-][^|>&;)#]*)/g)) {
        const [verb = '', ...rest] = line.trim().split(/\s+/);
        if (verb.startsWith('-')) continue;
        lines++;
        const known = verbs.find(({ name }) => name === verb);
        if (!t.ok(known, `${file}: fleet ${line}`)) continue;
        // Of a verb without verbs of its own this is the help as well.
        const inner = /^[a-z]+$/.test(rest[0] ?? '') ? `${verb} ${rest[0]}` : verb;
        const help = await helpOf(inner);
        for (const option of rest.filter((word) => /^--?[a-z]/.test(word)))
          t.match(help, new RegExp(`(^|[\\s[])${option}([\\s,\\]]|$)`, 'm'), `${file}: fleet ${line}`);
      }
  t.ok(lines > 40);
});

t.test('exit statuses are those that the program has', async (t) => {
  const statuses = [...overview().matchAll(/^ {2}(\d+) +/gm)].map(([, status]) => status);
  t.ok(statuses.length > 5);
  const page = pages.get('docs/exit-statuses.md') ?? '';
  t.strictSame(
    [...page.matchAll(/^\| (\d+) \|/gm)].map(([, status]) => status),
    statuses,
  );
  // Pages of seeded faults quote the names of tests, which speak of other programs, too.
  for (const [file, text] of pages)
    if (!file.startsWith('docs/seeded-'))
      for (const [said, status = ''] of text.matchAll(/\bexit status (\d+)/gi))
        t.ok(statuses.includes(status), `${file}: ${said}`);
});

t.test('error codes are those of the table, settings those of the schemas', async (t) => {
  const known = new Set<string>(Object.keys(CODES));
  const collect = (node: unknown): void => {
    if (typeof node === 'string') known.add(node);
    if (typeof node !== 'object' || node === null) return;
    for (const [key, inner] of Object.entries(node)) {
      known.add(key);
      collect(inner);
    }
  };
  for (const name of Object.keys(FILES)) collect(jsonSchema(name as FileName));
  for (const key of PRINTED) known.add(key);
  let words = 0;
  for (const [file, page] of pages)
    for (const code of inlineIn(page))
      for (const [word] of code.matchAll(/(?<![\w./-])[a-z]+(?:_[a-z]+)+(?![\w/])/g)) {
        words++;
        t.ok(known.has(word), `${file}: ${word}`);
      }
  t.ok(words > 50);
});
