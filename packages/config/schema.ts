/** JSON Schema (draft 2020-12) of a file, for editors: completion, and the meaning of a key on hover. */
import { z } from 'zod';
import { FILES, type FileName } from './files.ts';

export function jsonSchema(name: FileName): Record<string, unknown> {
  return { title: name, ...z.toJSONSchema(FILES[name], { io: 'input', target: 'draft-2020-12' }) };
}
