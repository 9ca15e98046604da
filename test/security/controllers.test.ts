/**
 * Every message, asked of an agent by everybody who could say that it is its controller. The rows are the table that dispatches; only the
 * controller of the agent's own fleet is heard at all, and what is not the controller's to send is unknown also from it.
 */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { dial } from '@fleet/link/dial.ts';
import { openSession } from '@fleet/link/session.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { encodeFrame } from '@fleet/protocol/codec.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type Handlers,
  MESSAGES,
} from '@fleet/protocol/messages/methods.ts';
import { type KeyPair, makeTlsKey, privatePem, publicText } from '@fleet/trust/keys.ts';
import { CONTROLLER_NAME, TLS_13 } from '@fleet/trust/tls.ts';
import t from 'tap';
import { WebSocketServer } from 'ws';
import { type Certificate, openCertificate } from '../../agent/trust/certificate.ts';
import { readJoined, writeJoined } from '../../agent/trust/joined.ts';
import { CONTROLLER_MS, makeAuthority, openAuthority } from '../../controller/trust/authority.ts';

type Server = Parameters<typeof createServer>[0];

/** What they do, others test: here it is asked whether they are reached. */
const HANDLERS = Object.fromEntries(
  Object.keys(AGENT_METHODS).map((method) => [
    method,
    async () => {
      throw new FleetError('aborted', 'reached');
    },
  ]),
) as unknown as Handlers<AgentMethods>;

async function fleetOf() {
  const keys = makeTlsKey();
  const pem = await makeAuthority(keys, Date.now());
  const at = (moment: number) => openAuthority(keys, pem, () => moment);
  return { pem, at, authority: await at(Date.now()) };
}

async function everybody(fleet: Awaited<ReturnType<typeof fleetOf>>): Promise<Record<string, Server>> {
  const other = await fleetOf();
  const showing = async (
    issue: (key: string) => Promise<string>,
    chain = fleet.pem,
    keys: KeyPair = makeTlsKey(),
  ) => ({
    ...TLS_13,
    cert: `${(await issue(publicText(keys.publicKey))).trimEnd()}\n${chain}`,
    key: privatePem(keys.privateKey),
  });
  const own = makeTlsKey();
  const late = await fleet.at(Date.now() - CONTROLLER_MS - 1000);
  return {
    'the controller': await showing(fleet.authority.issueController),
    'the controller of another fleet': await showing(other.authority.issueController, other.pem),
    'another one that shows this authority beside': await showing(other.authority.issueController),
    'one that signed itself': {
      ...TLS_13,
      cert: await makeAuthority(own, Date.now(), `CN=${CONTROLLER_NAME}`),
      key: privatePem(own.privateKey),
    },
    'one whose certificate has expired': await showing(late.issueController),
    'an agent of this fleet': await showing((key) => fleet.authority.issueAgent('web-1', key)),
    'an agent that has the controller’s name': await showing((key) =>
      fleet.authority.issueAgent(CONTROLLER_NAME, key),
    ),
    'the controller by an older TLS': {
      ...(await showing(fleet.authority.issueController)),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    },
  };
}

/** What the agent answers to one message, in a word. */
async function askAgent(server: Server, certificate: Certificate, method: string): Promise<string> {
  const http = createServer({ ...server }).listen(0, '127.0.0.1');
  await once(http, 'listening');
  const answered = Promise.withResolvers<string>();
  const sockets = new WebSocketServer({ server: http, path: AGENT_PATH });
  sockets.on('connection', (socket) => {
    // Whether it is known is asked before its body is looked at.
    socket.send(encodeFrame({ type: 'request', id: 1, method, body: {} }));
    socket.on('message', (data) => {
      const { error } = JSON.parse(String(data)) as { error?: { code: string } };
      answered.resolve(error?.code === 'unknown_method' ? error.code : 'heard');
    });
  });
  const over = new AbortController();
  const dialling = dial({
    url: `wss://127.0.0.1:${(http.address() as AddressInfo).port}${AGENT_PATH}`,
    tls: certificate.tls,
    signal: over.signal,
    log: { debug() {}, info() {}, warn: () => answered.resolve('cut off') },
    connect: async (socket) =>
      openSession({ socket, theirs: CONTROLLER_METHODS, ours: AGENT_METHODS, handlers: HANDLERS }),
  });
  const said = await answered.promise;
  over.abort();
  await dialling;
  sockets.close();
  http.closeAllConnections();
  http.close();
  return said;
}

t.test('every message, by everybody who could be the controller', async (t) => {
  const fleet = await fleetOf();
  const keys = makeTlsKey();
  const folder = join(t.testdir(), 'trust');
  writeJoined(folder, {
    ...{ host: 'web-1', labels: {}, url: 'https://127.0.0.1:1', agents: 'wss://127.0.0.1:1', ca: fleet.pem },
    keyPem: privatePem(keys.privateKey),
    certificate: await fleet.authority.issueAgent('web-1', publicText(keys.publicKey)),
  });
  const certificate = openCertificate(readJoined(folder)!, Date.now);
  let cells = 0;
  for (const [who, server] of Object.entries(await everybody(fleet))) {
    const got: Record<string, string> = {};
    const expected: Record<string, string> = {};
    for (const [name, { from }] of Object.entries(MESSAGES)) {
      const isHeard = from === 'controller' ? 'heard' : 'unknown_method';
      expected[name] = who === 'the controller' ? isHeard : 'cut off';
      got[name] = await askAgent(server, certificate, name);
      cells += 1;
    }
    t.strictSame(got, expected, who);
  }
  t.comment(`${cells} cells`);
});
