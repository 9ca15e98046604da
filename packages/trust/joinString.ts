/** The one string that a new host, or a person's machine, is given: where the controller is, how to know it, and a token. */
import { FleetError } from '@fleet/protocol/errors.ts';
import { keyId } from '@fleet/protocol/trust.ts';
import { labels } from '@fleet/protocol/words.ts';
import { z } from 'zod';

const PREFIX = 'fleet1.';
const form = z.strictObject({
  /** The people's endpoint, like https://10.0.0.1:7300. */
  url: z.string().regex(/^https:\/\/[^\s/]{1,255}$/),
  token: z.string().max(200),
  /** Name of the CA's key: whoever shows another one is not the controller, and gets no token. */
  ca: keyId,
  /** Name of the root key: who says whose releases are good. */
  root: keyId,
  /** What the host is going to be, so that it can refuse before it spends the token. What counts is what the token says. */
  labels: labels.optional(),
});
export type JoinString = z.infer<typeof form>;

export function writeJoinString(parts: JoinString): string {
  return PREFIX + Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Throws `bad_request` for what is no join string, such as one that was cut when it was copied. */
export function readJoinString(text: string): JoinString {
  try {
    if (!text.startsWith(PREFIX)) throw new Error(`it does not begin with ${PREFIX}`);
    return form.parse(JSON.parse(Buffer.from(text.slice(PREFIX.length), 'base64url').toString('utf8')));
  } catch (cause) {
    throw new FleetError('bad_request', 'this is not a whole join string', {
      next: 'copy all of what `fleet token create` printed, in quotes',
      cause,
    });
  }
}
