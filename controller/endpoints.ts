/**
 * Where the controller listens: people and programs on one endpoint, agents on another, both TLS 1.3 alone. In development there is one
 * plain port for all, on loopback.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { FleetError } from '@fleet/protocol/errors.ts';
import { TLS_13 } from '@fleet/trust/tls.ts';
import { type Address, listenAddress, loopbackOnly, nextPort } from './listenAddress.ts';
import type { Trust } from './trust/folder.ts';

/** Whoever connects and does not say what it wants by then is cut off. */
const SPEAK_MS = 10_000;
/** How often it is asked whether the controller's certificate is due. */
const RENEWAL_MS = 60 * 60 * 1000;
const PLAIN = { headersTimeout: SPEAK_MS, connectionsCheckingInterval: SPEAK_MS / 2, maxHeaderSize: 8192 };

export interface Endpoints {
  people: Server;
  /** In development the same one. */
  agents: Server;
  /** Where people's is to listen: the API does it. */
  address: Address;
  /** Where it does listen then, like https://127.0.0.1:7300. */
  url(): string;
  /** Begins to listen for agents. Throws `port_in_use`. */
  listenForAgents(): Promise<void>;
  agentsPort(): number;
  close(): Promise<void>;
}

/** `trust` is absent in development. Throws `not_loopback`, and what opening the certificate throws. */
export async function openEndpoints(
  config: { listen: string; listen_agents?: string | undefined },
  trust: Trust | undefined,
): Promise<Endpoints> {
  if (trust === undefined) {
    const people = createServer(PLAIN);
    const address = loopbackOnly(config.listen);
    return {
      people,
      agents: people,
      address,
      url: () => urlOf('http', people),
      listenForAgents: async () => {},
      agentsPort: () => address.port,
      close: async () => {},
    };
  }
  const address = listenAddress(config.listen);
  const secure = await secureOptions(trust);
  const people = createTlsServer(secure);
  const agents = createTlsServer({
    ...secure,
    requestCert: true,
    rejectUnauthorized: true,
    ca: trust.authority.pem,
  });
  // Nothing is served here but the upgrade to the agents' link.
  agents.on('request', (_request, response) => response.writeHead(404, { connection: 'close' }).end());
  const renewal = setInterval(() => void renewed(), RENEWAL_MS).unref();
  const renewed = async () => {
    const tls = { ...TLS_13, ...(await chain(trust)) };
    people.setSecureContext(tls);
    agents.setSecureContext({ ...tls, ca: trust.authority.pem });
  };
  return {
    people,
    agents,
    address,
    url: () => urlOf('https', people),
    async listenForAgents() {
      const at = config.listen_agents === undefined ? nextPort(address) : listenAddress(config.listen_agents);
      agents.listen(at);
      try {
        await once(agents, 'listening');
      } catch (error) {
        throw inUse(error, `${at.host}:${at.port}`, 'listen_agents');
      }
    },
    agentsPort: () => (agents.address() as AddressInfo).port,
    async close() {
      clearInterval(renewal);
      agents.closeAllConnections();
      await new Promise((resolve) => agents.close(resolve));
    },
  };
}

async function secureOptions(trust: Trust): Promise<ServerOptions> {
  return { ...PLAIN, ...TLS_13, ...(await chain(trust)), handshakeTimeout: SPEAK_MS };
}

/** The authority's certificate goes along, so that a host that joins can look at its key before it says anything. */
async function chain(trust: Trust): Promise<{ cert: string; key: string }> {
  const { cert, key } = await trust.controllerTls();
  return { cert: `${cert.trimEnd()}\n${trust.authority.pem}`, key };
}

function urlOf(scheme: 'http' | 'https', server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** `port_in_use` where that is what happened; else the error as it is. */
export function inUse(error: unknown, written: string, key: string): unknown {
  if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) return error;
  return new FleetError('port_in_use', `another program listens on ${written}`, {
    next: `stop it (is a controller running already?), or write another \`${key}\` in controller.yaml`,
  });
}
