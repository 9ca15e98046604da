/** Hostile HTTP: requests that are nearly right, and bytes that are none. */
import { connect } from 'node:net';
import { ROUTES, type Route } from '@fleet/protocol/api/routes.ts';
import type { Random } from '../../random/random.ts';
import type { FleetProgram } from '../fleetProgram.ts';
import { badName } from '../names/badNames.ts';
import { sampleOf } from '../names/fields.ts';
import type { Part } from '../part.ts';
import { bytes, ODD } from './mutate.ts';

/** What is not there: a request that is right after all changes nothing. */
const ABSENT = {
  service: 'absent',
  host: 'absent',
  version: '9.9.9',
  id: 999_999,
  step: 1,
  directory: '/absent/of/the/machine',
};
/** In development anybody may ask for these, and whoever is asked makes them under any name that is one. */
const MAKES = new Set(['people.add']);
const METHODS = [
  'GET',
  'POST',
  'DELETE',
  'PUT',
  'PATCH',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'get',
  'X',
  'PRI',
  'POST POST',
];
const TYPES = [
  'application/json',
  'text/plain',
  'application/json\tx',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-7',
  'APPLICATION/JSON;',
  '',
];

export async function requestsToApi(
  part: Part,
  program: FleetProgram,
  random: Random,
  count: number,
): Promise<void> {
  const routes = await harmless(program);
  const url = new URL(program.url);
  for (let sent = 0; sent < count && !part.late(); sent++) {
    const request = hostileRequest(random, url.host, random.pick(routes));
    const answer = await send(Number(url.port), request);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1];
    part.count(`request: ${status ?? (answer === '' ? 'no answer' : 'something else')}`);
    if (answer.includes('"code":"internal"'))
      part.fault(`${request.toString('latin1').slice(0, 300)} was answered ${answer.slice(-300)}`);
  }
}

/** Routes that do nothing when they are asked for what is not there. */
async function harmless({ url }: FleetProgram): Promise<Route[]> {
  const routes: Route[] = [];
  for (const [name, route] of Object.entries(ROUTES) as Array<[string, Route]>) {
    if (MAKES.has(name)) continue;
    const body = route.body === undefined ? undefined : JSON.stringify(sampleOf(route.body, ABSENT));
    const asked = {
      method: route.method,
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
    };
    const { ok } = await fetch(url + pathOf(route, ABSENT), asked);
    if (route.method === 'GET' || !ok) routes.push(route);
  }
  return routes;
}

function pathOf(route: Route, params: Readonly<Record<string, unknown>>): string {
  return route.path.replace(/:([a-z]+)/g, (_, name: string) =>
    encodeURIComponent(String(params[name] ?? 'x')),
  );
}

function hostileRequest(random: Random, host: string, route: Route): Buffer {
  if (random.chance(0.05)) return bytes(random, 1 + random.below(2000));
  const method = random.chance(0.7) ? route.method : random.pick(METHODS);
  const named = () => (random.chance(0.3) ? badName(random).replace(/[\r\n]/g, '') : 'absent');
  const path = random.chance(0.8)
    ? route.path.replace(/:([a-z]+)/g, () => encodeURIComponent(named().toWellFormed()).slice(0, 3000))
    : random.pick([
        '/api/events',
        '/agent',
        '/docs',
        '/',
        '//',
        '/api/../api/hosts',
        `/${named()}`,
        '/api/hosts/%2e%2e%2fx',
        '*',
        'http://x/api/hosts',
        '/api/status?service[]=a&service=b',
        `/api/hosts?${'a=b&'.repeat(500)}`,
      ]);
  const body = bodyOf(random, route);
  const headers = [
    `Host: ${random.chance(0.9) ? host : random.pick(['x', '', 'evil.example', `${host}\t`])}`,
    ...(random.chance(0.8)
      ? [`Content-Type: ${random.chance(0.6) ? 'application/json' : random.pick(TYPES)}`]
      : []),
    ...(random.chance(0.1)
      ? [`Origin: ${random.pick(['http://evil.example', 'null', `http://${host}`])}`]
      : []),
    ...(random.chance(0.1)
      ? [`Authorization: ${random.pick(['Bearer x', 'Basic eDp4', 'Bearer ', `Bearer ${'x'.repeat(5000)}`])}`]
      : []),
    ...(random.chance(0.05) ? [`X-Fleet-By: ${named().slice(0, 200)}`] : []),
    ...(random.chance(0.03)
      ? [
          'Upgrade: websocket',
          'Connection: Upgrade',
          'Sec-WebSocket-Version: 13',
          `Sec-WebSocket-Key: ${named().slice(0, 30)}`,
        ]
      : ['Connection: close']),
    ...(random.chance(0.02) ? Array.from({ length: 2000 }, (_, number) => `X-${number}: x`) : []),
    ...(random.chance(0.02) ? ['Expect: 100-continue'] : []),
    ...(random.chance(0.03) ? ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'] : []),
  ];
  const head = (more: string) =>
    `${method} ${path} HTTP/${random.chance(0.97) ? '1.1' : random.pick(['1.0', '2.0', '0.9', '9.9', 'x'])}\r\n${headers.join('\r\n')}\r\n${more}\r\n`;
  if (random.chance(0.15))
    return Buffer.concat([
      Buffer.from(head('Transfer-Encoding: chunked\r\n'), 'latin1'),
      chunked(random, body),
    ]);
  const length = random.chance(0.9)
    ? body.length
    : random.pick([0, -1, body.length + 1, body.length - 1, 2 ** 53, '1,2', '0x5']);
  const whole = Buffer.concat([Buffer.from(head(`Content-Length: ${length}\r\n`), 'latin1'), body]);
  return random.chance(0.05) ? whole.subarray(0, random.below(whole.length)) : whole;
}

function bodyOf(random: Random, route: Route): Buffer {
  const sample = (route.body === undefined ? {} : sampleOf(route.body, ABSENT)) as Record<string, unknown>;
  const text = JSON.stringify(sample);
  const key = random.pick([...Object.keys(sample), 'extra']);
  switch (random.below(9)) {
    case 0:
      return bytes(random, random.below(300));
    case 1:
      return Buffer.from(text.slice(0, random.below(text.length)));
    case 2:
      return Buffer.from(
        text.replace(
          '{',
          random.pick([
            '{"__proto__":{"a":1},',
            '{"constructor":{"prototype":{"a":1}},',
            '{"service":"other",',
          ]),
        ),
      );
    case 3:
      return Buffer.from('['.repeat(random.below(20_000)));
    case 4:
      return Buffer.alloc(random.chance(0.05) ? 1_100_000 : 10, ' ');
    case 5:
      return Buffer.from(JSON.stringify(random.pick(ODD)));
    case 6:
      return Buffer.from(JSON.stringify({ ...sample, [key]: random.pick(ODD) }));
    default:
      return Buffer.from(JSON.stringify({ ...sample, [key]: badName(random) }));
  }
}

function chunked(random: Random, body: Buffer): Buffer {
  const size = random.chance(0.8)
    ? body.length.toString(16)
    : random.pick(['ffffffffffffffff', '-1', 'x', '', '5;a=b', '0x5']);
  const end = random.chance(0.9) ? '\r\n0\r\n\r\n' : random.pick(['', '\r\n', '\r\n0\r\nX: y\r\n\r\n', '0']);
  return Buffer.concat([Buffer.from(`${size}\r\n`), body, Buffer.from(end)]);
}

/** What came back: what is not whole is left after a moment, as a slow one would leave it. */
function send(port: number, request: Buffer): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1');
    const late = setTimeout(() => socket.destroy(), 150);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      answer = (answer + chunk.toString('latin1')).slice(0, 4000);
      // An event stream has no end.
      if (/^HTTP\/1\.1 \d+[\s\S]*\r\n\r\n/.test(answer)) socket.end();
    });
    socket.on('close', () => {
      clearTimeout(late);
      resolve(answer);
    });
    socket.write(request, () => {});
  });
}
