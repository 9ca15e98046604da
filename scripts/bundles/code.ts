/** What was written in many files, and what others wrote, as few files of JavaScript that need nothing else: esbuild, told what to do with files that are not code. */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

export const ROOT = join(import.meta.dirname, '../..');

export interface Code {
  /** Where it goes: every file of JavaScript lies in this one folder. */
  into: string;
  /** Programs by the name that they get. What is started by its path, as a thread or a child, is one, too. */
  programs: Record<string, string>;
  /** Other modules in the place of some: what there is only on another architecture, or not at all. */
  instead?: Record<string, string>;
  /** Files that stay as they are, by their path in `into`. */
  files?: Record<string, string>;
}

/** What look for something beside themselves that is there in a bundle, too: `contents.ts` sees to it. */
const FINDING = [
  'agent/main.ts',
  'controller/programs/folder.ts',
  'controller/store/open.ts',
  'packages/cli/bin/fleet.js',
  'packages/config/template.ts',
];
const BESIDE = /\bimport\.meta\.(url|dirname|filename|resolve)\b/;
/** Files of JavaScript of their own that a module starts by their path. */
const STARTED = /new URL\('\.\/([\w-]+)\.(ts|mjs)', import\.meta\.url\)/g;

/** Resolves to what went in, for the licences. */
export async function bundle({ into, programs, instead = {}, files = {} }: Code): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.entries(programs).map(([out, path]) => ({ in: path, out })),
    outdir: into,
    bundle: true,
    // What a verb does not need is not loaded.
    splitting: true,
    chunkNames: '[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node24',
    metafile: true,
    logLevel: 'warning',
    define: {
      // ws looks for no addons then.
      'process.env.WS_NO_BUFFER_UTIL': '"1"',
      'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
    },
    // What was written for CommonJS finds in an ES module what it is used to.
    banner: {
      js: "import { createRequire as fleetRequire } from 'node:module';\nconst require = fleetRequire(import.meta.url);\nconst bundlePlace = import.meta.dirname;",
    },
    loader: { '.node': 'copy' },
    assetNames: '[name]',
    external: OPTIONAL,
    alias: instead,
    plugins: [ownPlaces(programs, files), placesOfOthers(), oneLanguage()],
  });
  for (const [path, from] of Object.entries(files)) {
    mkdirSync(dirname(join(into, path)), { recursive: true });
    copyFileSync(join(ROOT, from), join(into, path));
  }
  return metafile;
}

/** Native parts that their owners do without where they are missing. */
const OPTIONAL = ['cpu-features', './crypto/build/Release/sshcrypto.node'];

/** Of ours: `new URL('./thread.ts', import.meta.url)` is `thread.js` in a bundle, which has to be there. */
function ownPlaces(programs: Record<string, string>, files: Record<string, string>): Plugin {
  return {
    name: 'own places',
    setup(build) {
      build.onLoad({ filter: /\.[jt]s$/ }, ({ path }) => {
        if (path.includes('/node_modules/')) return undefined;
        const own = relative(ROOT, path);
        const text = readFileSync(path, 'utf8');
        if (BESIDE.test(text.replaceAll(STARTED, '')) && !FINDING.includes(own))
          throw new Error(`${own} looks for something beside itself: see that a bundle has it, too`);
        const contents = text.replaceAll(STARTED, (whole, name: string, ending: string) => {
          const started = join(dirname(own), `${name}.${ending}`);
          const there = ending === 'ts' ? programs[name] === started : files[`${name}.mjs`] === started;
          if (!there) throw new Error(`${own} starts ${started}, which is not in the bundle`);
          return whole.replace(`${name}.ts`, `${name}.js`);
        });
        return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' };
      });
    },
  };
}

/** Of others: `__dirname` is the folder below the bundle that has the name of the package. */
function placesOfOthers(): Plugin {
  return {
    name: 'places of others',
    setup(build) {
      build.onLoad({ filter: /\/node_modules\/.*\.c?js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        if (!/\b__(dirname|filename)\b/.test(text)) return undefined;
        const place = path.slice(path.lastIndexOf('/node_modules/') + '/node_modules/'.length);
        const folder = (of: string) =>
          `require('node:path').join(bundlePlace, 'packages', ${JSON.stringify(of)})`;
        const contents = text
          .replaceAll(/\b__dirname\b/g, folder(dirname(place)))
          .replaceAll(/\b__filename\b/g, folder(place));
        return { contents, loader: 'js' };
      });
    },
  };
}

/** zod speaks fifty languages, and fleet one. */
function oneLanguage(): Plugin {
  return {
    name: 'one language',
    setup(build) {
      build.onLoad({ filter: /\/node_modules\/zod\/v4\/locales\/index\.js$/ }, () => ({
        contents: "export { default as en } from './en.js';",
        loader: 'js',
      }));
    },
  };
}
