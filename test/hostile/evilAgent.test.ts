/** One host is owned by somebody who knows the protocol: it harms itself, and nobody else. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Frame } from '@fleet/protocol/codec.ts';
import t from 'tap';
import { FleetProgram, HOST } from '../../scripts/hostileInput/fleetProgram.ts';
import { EvilAgent } from '../fixtures/evilAgent.ts';

const ESCAPES = '\u001b]52;c;ZXZpbA==\u0007\u001b[2J\r\u009b31m\u202eevil';
/** All that a terminal obeys, but newline and tab. */
const OBEYED =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

const program = await FleetProgram.open();
t.teardown(() => program.close());
const { fleet } = program;
/** Its own: a name belongs to who had it first. */
const instance = crypto.randomUUID();
const meet = (self: Record<string, unknown> = {}) =>
  new EvilAgent(program.agentUrl, { instance, ...self }).opened();
const isError = (frame: Frame | string, code: string) =>
  typeof frame !== 'string' && frame.type === 'error' && frame.error.code === code;

t.test('it is nobody else', async (t) => {
  const evil = await meet();
  evil.hello({ host: HOST });
  t.ok(isError(await evil.answerTo(1), 'name_in_use'), 'a name that another agent has');
  t.match(await evil.closed, /hello was refused/);

  const twice = await meet();
  twice.hello();
  t.match(await twice.answerTo(1), { type: 'reply' });
  twice.hello({ host: HOST }, 2);
  t.ok(isError(await twice.answerTo(2), 'bad_message'), 'a second hello, with another name');
  t.match(await twice.closed, /hello was refused/);

  const far = await meet();
  const { fleet: id } = ((await meetReply()) as { body: { fleet: string } }).body;
  far.hello({ epochs: { [id]: Number.MAX_SAFE_INTEGER - 1 } });
  t.ok(isError(await far.answerTo(1), 'bad_message'), 'an epoch that nobody can have obeyed');
  t.equal(await program.complaint(), undefined);
});

async function meetReply(): Promise<Frame | string> {
  const evil = await meet();
  evil.hello();
  const answer = await evil.answerTo(1);
  evil.close();
  return answer;
}

t.test('it floods, and the others are deployed to', async (t) => {
  let over = false;
  const reasons: string[] = [];
  const body = 'x'.repeat(5000);
  const floods: Array<(evil: EvilAgent, number: number) => void> = [
    (evil, number) => evil.post({ type: 'reply', id: number + 1, body }),
    (evil, number) => evil.post({ type: 'ack', stream: 2, offset: number }),
    (evil, number) => evil.post({ type: 'request', id: number + 2, method: `x${number}`, body: {} }),
    (evil) => evil.raw(Buffer.alloc(20_000)),
    (evil) => evil.socket.ping(),
    (evil, number) =>
      evil.post({ type: 'open', stream: 2 * number + 1, name: '../../x', from: 0, size: 1e12 }),
  ];
  const flooding = (async () => {
    for (let round = 0; !over; round++) {
      const evil = await meet();
      evil.hello();
      await evil.answerTo(1);
      for (let number = 0; number < 10_000 && evil.socket.readyState === evil.socket.OPEN; number++) {
        floods[round % floods.length]!(evil, number);
        if (number % 200 === 0) await sleep(0);
      }
      reasons.push(await evil.closed);
    }
  })();
  const memory = program.memory();
  const built = await fleet.run(['build', 'web', '--version', '1.1.0']);
  t.equal(built.code, 0, built.stderr);
  const { code, stdout, stderr } = await fleet.run(['deploy', 'web', '--version', '1.1.0']);
  t.equal(code, 0, stdout + stderr);
  while (reasons.length < 3) await sleep(20);
  over = true;
  await flooding;
  t.ok(
    reasons.every((reason) => /more than it was asked for|code 1006/.test(reason)),
    [...new Set(reasons)].join('; '),
  );
  t.equal(await program.complaint('1.1.0'), undefined);
  t.notMatch(
    readFileSync(fleet.controller!.log, 'utf8'),
    new RegExp(`"host":"${HOST}".*agent gone`),
    'no other link was lost',
  );
  t.ok(program.memory() < 2 * memory, `${program.memory()} bytes, ${memory} before`);
});

/** A host of the environment, with answers of its own. */
async function liar(answers: Record<string, { body: unknown } | { error: unknown }>): Promise<EvilAgent> {
  const evil = await meet({ labels: { role: 'web' }, agent: ESCAPES, platform: ESCAPES, bootId: ESCAPES });
  evil.onAsked = ({ method }) => answers[method];
  evil.hello();
  await evil.answerTo(1);
  return evil;
}
const REPORT = {
  current: '9.9.9',
  running: '9.9.9',
  identity: 'a'.repeat(64),
  state: 'running',
  releases: ['9.9.9'],
};

t.test('what it says about itself is about itself', async (t) => {
  const evil = await liar({
    'step.report': { body: REPORT },
    'log.read': { body: { text: `${ESCAPES}\n`.repeat(1000), cursor: 'x' } },
  });
  const status = await fleet.run(['status', '--json']);
  const { services } = JSON.parse(status.stdout) as {
    services: Array<{ hosts: Array<{ host: string; running: string }> }>;
  };
  t.match(services[0]?.hosts, [
    { host: 'evil-1', running: '9.9.9' },
    { host: HOST, running: '1.1.0' },
  ]);
  for (const argv of [
    ['status'],
    ['hosts'],
    ['hosts', '--json'],
    ['logs', 'web', '--host', 'evil-1'],
    ['plan', 'web', '--version', '1.1.0'],
  ]) {
    const { stdout, stderr } = await fleet.run(argv);
    t.notMatch(stdout + stderr, OBEYED, argv.join(' '));
  }
  evil.close();
});

t.test('a log beyond all bounds is no log', async (t) => {
  const evil = await liar({ 'log.read': { body: { text: 'x'.repeat(900_000), cursor: 'x' } } });
  const { code, stdout, stderr } = await fleet.run(['logs', 'web', '--host', 'evil-1']);
  t.equal(code, 1);
  t.ok(stdout.length + stderr.length < 10_000);
  evil.close();
});

for (const code of ['link_lost', 'database_full'])
  t.test(`that it says ${code} is its own failure`, async (t) => {
    const error = { code, message: ESCAPES, next: ESCAPES, data: { output: ESCAPES } };
    const evil = await liar({
      'step.report': { body: REPORT },
      'check.smoke': { body: { results: [] } },
      'release.offer': { error },
    });
    const ended = await fleet.run(['deploy', 'web', '--version', '1.0.0']);
    t.match(ended.stdout, /evil-1\s.*(failed|unreachable)=1/);
    t.match(ended.stdout, /web-1\s.*failed=0/);
    t.notMatch(ended.stdout + ended.stderr, OBEYED);
    t.ok([1, 5].includes(ended.code ?? 0), `exit ${ended.code}`);
    evil.close();
    t.equal(await program.complaint('1.1.0'), undefined);
  });
