/** The command line: picks the verb, runs it, and turns whatever came of it into lines and an exit status. */
import { overview } from './help.ts';
import { VERBS } from './verbs.ts';

/** `argv` without node and script. Sets process.exitCode. */
export async function main(argv: string[]): Promise<void> {
  const [first, second] = argv;
  if (first === undefined) {
    console.error(overview());
    process.exitCode = 2;
  } else if (first === '-h' || first === '--help' || (first === 'help' && second === undefined)) {
    console.log(overview());
  } else if (first === '-V' || first === '--version') {
    const { default: project } = await import('./package.json', { with: { type: 'json' } });
    console.log(project.version);
  } else {
    const { runVerb } = await import('./run.ts');
    process.exitCode = await runVerb(argv, VERBS);
  }
}
