import t from 'tap';
import { CONTEXT, checkContract, checkOf } from './contract.ts';
import { runChecks } from './runChecks.ts';
import { answer, closedPort, listen, listenHttp } from './servers.fixture.ts';

const values = { ...CONTEXT.values, EMPTY: '', WORD: 'eighty', BIG: '65536' };
const http = async (members: object) =>
  (await runChecks([checkOf({ kind: 'http', ...members })], { ...CONTEXT, values }, { onceOnly: true }))[0]!;

t.test('the contract', async (t) => {
  const good = await listenHttp(t, answer(200, 'fine'));
  const bad = await listenHttp(t, answer(500));
  const silent = await listen(t, () => {});
  const starting = [answer(503), answer(404), answer(200)];
  await checkContract(t, {
    passing: { check: { kind: 'http', port: '${VALUE}' }, value: String(good) },
    failing: { check: { kind: 'http', port: bad }, detail: /\/ answered 500, not 200$/ },
    later: async () => ({ kind: 'http', port: await listenHttp(t, ...starting) }),
    hanging: { kind: 'http', port: silent },
  });
});

t.test('status', async (t) => {
  const moved = await listenHttp(t, answer(302, '', 'Location: /login\r\n'));
  t.match(await http({ port: moved }), { passed: false, detail: /answered 302 to \/login, not 200/ });
  t.match(await http({ port: moved, status: 302 }), { passed: true });
});

t.test('contains', async (t) => {
  const port = await listenHttp(t, answer(200, '<html>\nsegmenter 1.4.1</html>'));
  t.match(await http({ port, contains: 'segmenter' }), { passed: true });
  t.match(await http({ port, contains: '${VERSION}' }), {
    passed: false,
    detail: /answered 200 without "1\.4\.2"; it begins "<html>\\nsegmenter 1\.4\.1<\/html>"/,
  });
  const newer = await listenHttp(t, answer(200, 'segmenter 1.4.2'));
  t.match(await http({ port: newer, contains: '${VERSION}' }), { passed: true });
  t.match(await http({ port: newer, contains: 'segmenter ${VERSION}' }), {
    passed: false,
    detail: /without "segmenter \$\{VERSION\}"/,
  });

  const empty = await listenHttp(t, answer(200));
  t.match(await http({ port: empty, contains: 'x' }), { passed: false, detail: /it begins ""/ });

  const pieces = ['seg', 'men', 'ter'];
  const slow = await listen(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const timer = setInterval(() => {
        const piece = pieces.shift();
        if (piece !== undefined) socket.write(`3\r\n${piece}\r\n`);
      }, 10);
      socket.on('close', () => clearInterval(timer));
    });
  });
  t.match(
    await http({ port: slow, contains: 'segmenter' }),
    { passed: true },
    'in pieces, of a body that never ends',
  );
});

t.test('a body is read to one MiB and no further', async (t) => {
  const MiB = 1024 * 1024;
  const near = await listenHttp(t, answer(200, `${' '.repeat(MiB - 4)}here`));
  t.match(await http({ port: near, contains: 'here' }), { passed: true });
  const far = await listenHttp(t, answer(200, `${' '.repeat(MiB - 3)}here`));
  t.match(await http({ port: far, contains: 'here' }), { passed: false });

  let sent = 0;
  const endless = await listen(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const piece = Buffer.alloc(64 * 1024, 'x');
    const more = () => {
      while (!socket.destroyed) {
        sent += piece.length;
        if (!socket.write(piece)) return;
      }
    };
    socket.on('drain', more);
    more();
  });
  t.match(await http({ port: endless, contains: 'here', timeout: '20s' }), {
    passed: false,
    detail: /without "here"/,
  });
  t.ok(sent < 64 * MiB, 'what is not read is not sent either');
});

t.test('what is not an answer', async (t) => {
  const closed = await closedPort();
  t.match(await http({ port: closed }), { passed: false, detail: /failed: nothing listens there$/ });
  const ssh = await listen(t, (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'));
  t.match(await http({ port: ssh }), { passed: false, detail: /failed: Parse Error/ });
  const shy = await listen(t, (socket) => socket.once('data', () => socket.destroy()));
  t.match(await http({ port: shy }), {
    passed: false,
    detail: /failed: (socket hang up|the connection was broken off)/,
  });
  const half = await listenHttp(t, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
  t.match(await http({ port: half, contains: 'x' }), { passed: false, detail: /answered 200, and failed/ });
  const stuck = await listen(t, (socket) =>
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'),
  );
  t.match(await http({ port: stuck, contains: 'x', timeout: '50ms' }), {
    passed: false,
    detail: /answered 200, and did not end its answer in time/,
  });
});

t.test('what is not a port', async (t) => {
  for (const [name, shown] of [
    ['EMPTY', '""'],
    ['WORD', '"eighty"'],
    ['BIG', '"65536"'],
    ['MISSING', '""'],
  ])
    t.match(await http({ port: `\${${name}}` }), {
      passed: false,
      detail: `\${${name}} is ${shown}, which is not a port`,
    });
});
