import { asFleetError, type ErrorBody } from '@fleet/protocol/errors.ts';

/** Characters of JSON that an error may have on the wire; far below a frame, and plenty for the end of a program's output. */
const LARGEST = 64 * 1024;
const SENTENCE = 1000;

/** Anything thrown, as it crosses the wire. Facts that are not JSON, or too large, stay here. */
export function wireError(thrown: unknown): ErrorBody {
  const body = asFleetError(thrown).toJSON();
  if (fits(body)) return body;
  return { code: body.code, message: body.message.slice(0, SENTENCE), next: body.next?.slice(0, SENTENCE) };
}

function fits(body: ErrorBody): boolean {
  try {
    return JSON.stringify(body).length <= LARGEST;
  } catch {
    return false;
  }
}
