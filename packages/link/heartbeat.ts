import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** Intervals without a byte from the peer after which it counts as gone. */
const MISSES = 3;

/**
 * Pings every `everyMs` and calls `onSilent` once nothing has come from the peer for three whole intervals, which is at most
 * four after its last byte. Bytes count and not frames: on a slow line one chunk takes longer than a heartbeat, and its sender
 * is not dead. Intervals are counted, so that a process that was stopped for a while first reads what has come meanwhile.
 * Returns what ends the watch.
 */
export function watchHeartbeat(watch: {
  socket: WebSocket;
  everyMs: number;
  onSilent(silentMs: number): void;
}): () => void {
  const { socket, everyMs, onSilent } = watch;
  let heard = bytesHeard(socket);
  let missed = 0;
  const timer = setInterval(() => {
    const now = bytesHeard(socket);
    missed = now === heard ? missed + 1 : 0;
    heard = now;
    if (missed < MISSES) return socket.ping();
    clearInterval(timer);
    onSilent(missed * everyMs);
  }, everyMs);
  return () => clearInterval(timer);
}

/** ws has no public way to the TCP or TLS socket below it, and only that one knows of half a frame. */
function bytesHeard(socket: WebSocket): number {
  return (socket as unknown as { _socket: Socket | null })._socket?.bytesRead ?? 0;
}
