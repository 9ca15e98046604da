/** The commented files that `fleet init` writes. They are the manual: every key there is stands in them. */
import { readFile } from 'node:fs/promises';
import { serviceName } from '@fleet/protocol/words.ts';
import type { FileName } from './files.ts';

const PLACEHOLDER = 'my-service';

/** With a service's name in place of `my-service`. */
export async function template(name: FileName, service: string = PLACEHOLDER): Promise<string> {
  const text = await readFile(new URL(`templates/${name}`, import.meta.url), 'utf8');
  return text.replaceAll(PLACEHOLDER, serviceName.parse(service));
}
