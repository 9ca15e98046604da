/** What a socket may cost us before anything in it is understood: the same at both ends. */
import { MAX_FRAME } from '@fleet/protocol/codec.ts';

export const SOCKET_LIMITS = {
  /** A few bytes that become a megabyte, and memory for each peer: no. */
  perMessageDeflate: false,
  maxPayload: MAX_FRAME,
  /** We send none in fragments. */
  maxFragments: 16,
  /** Pieces of half a message that wait for the rest: a whole one comes in a thousand TCP segments. */
  maxBufferedChunks: 8192,
} as const;
