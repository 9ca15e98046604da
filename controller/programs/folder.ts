/** Where fleet's own programs lie, when controller.yaml does not say: beside the bundled controller, or where a checkout makes them. */
import { fileURLToPath } from 'node:url';

/** What is bundled is no TypeScript any more. */
const BESIDE = import.meta.filename.endsWith('.ts') ? '../../dist/programs' : '../programs';

export function programsFolder({ programs }: { programs?: string | undefined }): string {
  return programs ?? fileURLToPath(new URL(BESIDE, import.meta.url));
}
