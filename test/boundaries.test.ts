/** Imports run one way: protocol ← packages ← controller, agent. npm workspaces are no fence, so this is the fence. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '..');
const SKIP = /(^|\/)(node_modules|\.tap|\.toolchain)\//;
const files = globSync('{protocol,packages,controller,agent,scripts,test}/**/*.{ts,mjs,js}', {
  cwd: ROOT,
}).filter((file) => !SKIP.test(file));
const IMPORT =
  /^\s*(?:import|export)\b[^'"`;]*?from\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm;

interface Import {
  file: string;
  /** The imported file inside the repository, or the name of a package. */
  target: string;
  inside: boolean;
}

/** The files that know programs, and import one of them. */
const LAUNCHERS = ['packages/cli/bin/fleet.js', 'packages/cli/bin/agent.js'];

const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)].map((match) =>
    resolve(file, match[1] ?? match[2] ?? match[3] ?? ''),
  ),
);

function resolve(file: string, specifier: string): Import {
  if (specifier.startsWith('.')) {
    return { file, target: relative(ROOT, join(ROOT, dirname(file), specifier)), inside: true };
  }
  const workspace = /^@fleet\/([^/]+)\/(.+)$/.exec(specifier);
  if (workspace === null) return { file, target: specifier, inside: false };
  const [, name = '', rest = ''] = workspace;
  const folder = ['protocol', 'controller', 'agent'].includes(name) ? name : `packages/${name}`;
  return { file, target: `${folder}/${rest}`, inside: true };
}

/** `packages/link`, `controller/store`, `agent`: the room that a file is in. */
const roomOf = (file: string): string => {
  const [first = '', second = ''] = file.split('/');
  if (first === 'packages') return `packages/${second}`;
  return first === 'controller' && second.includes('.') === false && second !== ''
    ? `controller/${second}`
    : first;
};
const isTest = (file: string) =>
  /\.(test|fixture)\.ts$/.test(file) || /(^|\/)(contract|fake\w*|fleetProgram)\.ts$/.test(file);
const product = imports.filter(({ file }) => !/^(scripts|test)\//.test(file) && !isTest(file));

function broken(rule: (each: Import) => boolean, among = product): string[] {
  return among
    .filter(({ file }) => !LAUNCHERS.includes(file))
    .filter(rule)
    .map(({ file, target }) => `${file} imports ${target}`);
}

t.ok(product.length > 200, `${product.length} imports were found`);

t.test('one way', async (t) => {
  t.strictSame(
    broken(
      ({ file, target, inside }) => file.startsWith('protocol/') && inside && !target.startsWith('protocol/'),
    ),
    [],
    'protocol imports nothing of ours',
  );
  t.strictSame(
    broken(
      ({ file, target, inside }) =>
        file.startsWith('packages/') && inside && !/^(protocol|packages)\//.test(target),
    ),
    [],
    'packages know neither end',
  );
  t.strictSame(
    broken(({ file, target }) => file.startsWith('controller/') && target.startsWith('agent/')),
    [],
    'the controller does not import the agent',
  );
  t.strictSame(
    broken(({ file, target }) => file.startsWith('agent/') && target.startsWith('controller/')),
    [],
    'the agent does not import the controller',
  );
  t.strictSame(
    broken(({ target, inside }) => inside && /^(scripts|test)\//.test(target)),
    [],
    'nothing imports scripts or tests',
  );
});

t.test('rooms of the controller', async (t) => {
  const apart = ['agents', 'gates', 'store'].map((name) => `controller/${name}`);
  t.strictSame(
    broken(
      ({ file, target, inside }) =>
        inside &&
        apart.includes(roomOf(file)) &&
        /^controller\//.test(target) &&
        roomOf(target) !== roomOf(file),
    ),
    [],
    'agents, gates and store import none of their siblings',
  );
  t.strictSame(
    broken(
      ({ file, target }) =>
        roomOf(file) === 'controller/deploy' && /^controller\/(api|agents|main)/.test(target),
    ),
    [],
    'deploy is below the API',
  );
});

t.test('the checker of a chaos run links nothing that it checks', async (t) => {
  const room = 'scripts/chaosRun/checker/';
  const checker = imports.filter(({ file }) => file.startsWith(room));
  t.ok(checker.length > 20, `${checker.length} imports were found`);
  t.strictSame(
    broken(
      ({ target, inside }) =>
        !(inside
          ? target.startsWith(room) || target === 'scripts/chaosRun/record.ts'
          : /^(node:|better-sqlite3$|tap$)/.test(target)),
      checker,
    ),
    [],
  );
});

t.test('one user of a library', async (t) => {
  const only = (library: string, rooms: string[]) =>
    t.strictSame(
      broken(
        ({ file, target, inside }) =>
          !inside &&
          (target === library || target.startsWith(`${library}/`)) &&
          !rooms.includes(roomOf(file)),
      ),
      [],
      `${library} is used in ${rooms.join(' and ')} alone`,
    );
  only('tar', ['packages/artifact']);
  only('ws', ['packages/link']);
  only('yaml', ['packages/config']);
  only('kysely', ['controller/store']);
  only('commander', ['packages/cli']);
  only('fastify', ['controller/api']);
  only('@peculiar/x509', ['controller/trust']);
  only('node-ssh', ['controller/provision']);
});

t.test('what a package uses, it names', async (t) => {
  for (const manifest of globSync('{protocol,packages/*,controller,agent}/package.json', { cwd: ROOT })) {
    const folder = dirname(manifest);
    const { dependencies = {} } = JSON.parse(readFileSync(join(ROOT, manifest), 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    const used = new Set<string>();
    for (const { file, target, inside } of product) {
      if (!file.startsWith(`${folder}/`)) continue;
      if (!inside && !target.startsWith('node:'))
        used.add(
          target
            .split('/')
            .slice(0, target.startsWith('@') ? 2 : 1)
            .join('/'),
        );
      if (inside && !target.startsWith(`${folder}/`))
        used.add(
          `@fleet/${
            roomOf(target)
              .replace(/^packages\//, '')
              .split('/')[0]
          }`,
        );
    }
    t.strictSame(
      [...used].filter((name) => !(name in dependencies)).sort(),
      [],
      `${folder} names all that it imports`,
    );
    t.strictSame(
      Object.keys(dependencies)
        .filter((name) => !used.has(name))
        .sort(),
      [],
      `${folder} names nothing that it does not import`,
    );
  }
});

t.test('no cycles', async (t) => {
  const edges = new Map<string, string[]>();
  for (const { file, target, inside } of product)
    if (inside) edges.set(file, [...(edges.get(file) ?? []), target]);
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: string[]) => {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const target of edges.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  t.strictSame(cycles, []);
});

t.test('folders are nouns of the domain', async (t) => {
  t.strictSame(
    files.filter(
      (file) =>
        /(^|\/)(utils?|common|core|shared|helpers?|misc|lib)(\/|\.ts$)/.test(file) &&
        file !== 'agent/releases/shared.ts',
    ),
    [],
  );
  t.strictSame(
    files.filter((file) => /(^|\/)index\.ts$/.test(file)),
    [],
    'no barrels',
  );
});

t.test('what is installed is what was chosen, and runs nothing at its installation', async (t) => {
  interface Locked {
    link?: boolean;
    resolved?: string;
    integrity?: string;
  }
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const installed = Object.entries(packages).filter(
    ([path, { link }]) => path.includes('node_modules/') && !link,
  );
  t.ok(installed.length > 100, `${installed.length} packages are installed`);
  t.strictSame(
    installed.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path),
    [],
    'each is known by its digest',
  );
  t.match(readFileSync(join(ROOT, '.npmrc'), 'utf8'), /^ignore-scripts=true$/m);
  t.match(readFileSync(join(ROOT, 'scripts/node24.sh'), 'utf8'), /npm ci --ignore-scripts/);
  for (const file of globSync('{.,protocol,packages/*,controller,agent}/package.json', { cwd: ROOT })) {
    const manifest = JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as Record<string, object | undefined>;
    const chosen = { ...manifest.dependencies, ...manifest.devDependencies };
    const loose = Object.entries(chosen).filter(
      ([name, version]) => !name.startsWith('@fleet/') && !/^\d+\.\d+\.\d+$/.test(String(version)),
    );
    t.strictSame(loose, [], `${file} names one version of each`);
  }
});
