import { once } from 'node:events';
import net from 'node:net';
import { portOf, whyNot } from './address.ts';
import type { CheckDriver } from './check.ts';

/** Passes when a connection is accepted. */
export const tcp: CheckDriver<'tcp'> = {
  kind: 'tcp',
  async try({ host, port: named }, { values, signal }) {
    const port = portOf(named, values);
    if (typeof port === 'object') return port;
    const socket = net.connect({ host, port });
    socket.on('error', () => {});
    try {
      await once(socket, 'connect', { signal });
      return { passed: true, detail: `${host}:${port} accepts connections` };
    } catch (error) {
      const why = signal.aborted ? 'no connection in time' : whyNot(error);
      return { passed: false, detail: `${host}:${port}: ${why}` };
    } finally {
      socket.destroy();
    }
  },
};
