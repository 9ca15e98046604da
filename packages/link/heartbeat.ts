import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** Heartbeats without a byte from the peer after which it counts as gone. */
const MISSES = 3;
/** Looks at what has come, in each heartbeat: a silent peer is noticed at most one look late. */
const LOOKS = 2;

/**
 * Pings every `everyMs` and calls `onSilent` once nothing has come from the peer for three times that, at the next look.
 * Bytes count and not frames: on a slow line one chunk takes longer than a heartbeat, and its sender is not dead. Looks are
 * counted, so that a process that was stopped for a while first reads what has come meanwhile. Returns what ends the watch.
 */
export function watchHeartbeat(watch: {
  socket: WebSocket;
  everyMs: number;
  onSilent(silentMs: number): void;
}): () => void {
  const { socket, everyMs, onSilent } = watch;
  let looks = 0;
  let silentLooks = 0;
  let heard = bytesHeard(socket);
  const timer = setInterval(() => {
    const now = bytesHeard(socket);
    silentLooks = now === heard ? silentLooks + 1 : 0;
    heard = now;
    looks += 1;
    if (silentLooks === MISSES * LOOKS) onSilent(MISSES * everyMs);
    else if (looks % LOOKS === 0) socket.ping();
  }, everyMs / LOOKS);
  return () => clearInterval(timer);
}

/** ws has no public way to the TCP or TLS socket below it, and only that one knows of half a frame. */
function bytesHeard(socket: WebSocket): number {
  return (socket as unknown as { _socket: Socket | null })._socket?.bytesRead ?? 0;
}
