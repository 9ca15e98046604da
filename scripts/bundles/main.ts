/** `./scripts/bundle`: its flags. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { readKey } from '@fleet/cli/keyFiles.ts';
import { reportFailure } from '@fleet/cli/print/error.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { bundleAll, bundlePrograms, sumsOf } from './bundle.ts';
import { ROOT } from './code.ts';
import { PLATFORMS, type Platform } from './elf.ts';

const isPlatform = (name: string): name is Platform => PLATFORMS.some((each) => each === name);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      platform: { type: 'string', multiple: true, default: [...PLATFORMS] },
      programs: { type: 'boolean', default: false },
      'sign-key': { type: 'string' },
    },
  });
  const platforms = values.platform.filter(isPlatform);
  if (platforms.length < values.platform.length)
    throw new FleetError('bad_request', `${values.platform}: platforms are ${PLATFORMS.join(', ')}`);
  const dist = `${ROOT}/dist`;
  mkdirSync(dist, { recursive: true });
  const key = values['sign-key'];
  await (values.programs ? bundlePrograms : bundleAll)({
    ...{ dist, platforms, commit: commit(), now: Date.now },
    key: key === undefined ? undefined : readKey(key),
    say: (line) => process.stdout.write(`${line.replace(dist, relative(process.cwd(), dist) || '.')}\n`),
  });
  writeFileSync(`${dist}/SHA256SUMS`, await sumsOf(dist));
}

/** Undefined where what is bundled is not what was committed. */
function commit(): string | undefined {
  const git = (...argv: string[]) => execFileSync('git', argv, { cwd: ROOT, encoding: 'utf8' }).trim();
  try {
    return git('status', '--porcelain', '--untracked-files=no') === '' ? git('rev-parse', 'HEAD') : undefined;
  } catch {
    return undefined;
  }
}

await main().catch((thrown) => {
  process.exitCode = reportFailure(thrown);
});
