/** The network between one agent and its controller: a TCP proxy that can be cut, so that neither side hears anything. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Link {
  port: number;
  /** From now on nothing arrives, either way, and nobody is told. New connections are taken and lead nowhere. */
  cut(): void;
  /** `late`: what was sent meanwhile arrives now. `reset`: every connection that was open breaks. */
  heal(how: 'late' | 'reset'): void;
  close(): Promise<void>;
}

export async function openLink(target: () => number): Promise<Link> {
  let whole = true;
  const wires = new Set<{ client: Socket; join(): void; part(): void; end(): void }>();
  const server = createServer((client) => {
    client.on('error', () => {});
    client.pause();
    let upstream: Socket | undefined;
    const wire = {
      client,
      join() {
        if (upstream === undefined) {
          upstream = connect(target(), '127.0.0.1');
          upstream.on('error', () => {});
          upstream.on('close', () => whole && wire.end());
        }
        client.pipe(upstream).pipe(client);
      },
      part() {
        client.unpipe();
        upstream?.unpipe();
        client.pause();
        upstream?.pause();
      },
      end() {
        wires.delete(wire);
        client.destroy();
        upstream?.destroy();
      },
    };
    wires.add(wire);
    client.on('close', () => whole && wire.end());
    if (whole) wire.join();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      whole = false;
      for (const wire of wires) wire.part();
    },
    heal(how) {
      whole = true;
      for (const wire of wires) {
        if (how === 'reset' || wire.client.destroyed) wire.end();
        else wire.join();
      }
    },
    async close() {
      whole = true;
      for (const wire of wires) wire.end();
      server.close();
      await once(server, 'close');
    },
  };
}
