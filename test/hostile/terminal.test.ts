/** Whatever hosts, commits and hooks print, and whatever a controller says: a terminal finds nothing in it to obey. */
import { startFakeController } from '@fleet/cli/fakeController.ts';
import { VERBS } from '@fleet/cli/verbs.ts';
import { event, type FleetEvent } from '@fleet/protocol/api/events.ts';
import { ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { Command } from 'commander';
import t from 'tap';
import { filledOf } from '../../scripts/hostileInput/names/filled.ts';
import { ManyVerbs } from '../../scripts/hostileInput/names/onCommandLine.ts';

/** The clipboard, a link, the title, a red line made green, the line above, the screen; also in one byte, and text that runs backwards. */
const ESCAPES =
  'seen\u001b]52;c;ZXZpbA==\u0007\u001b]8;;http://evil\u001b\\x\u001b]8;;\u001b\\\u001b]0;t\u0007\rok\u001b[1A\u001b[2K\u001b[2J\u001bc\u001bPq\u001b\\\u009b31m\u009d0;x\u009c\b\b\u0007\u202e\u2066\u061c\u2028\u0085';
/** All that a terminal obeys, but newline and tab. */
const OBEYED =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
/** These ask for something else first, such as a password, or run a program of their own. */
const NOT_ASKING = new Set(['init', 'config', 'controller', 'agent', 'restore', 'login', 'keys', 'push']);

const fake = await startFakeController();
t.teardown(() => fake.stop());

/** Deployment 1 and build 1, with every event that there is. */
for (const each of filledOf(event, ESCAPES) as FleetEvent[])
  if (event.safeParse(each).success)
    for (const topic of ['deployment/1', 'build/1']) fake.publish(topic, each);

const VERBS_TO_RUN = await Promise.all(
  Object.values(VERBS)
    .flat()
    .filter(({ name, load }) => load !== undefined && !NOT_ASKING.has(name))
    .map(async ({ name, load }) => {
      const command = new Command(name);
      (await load!()).define(command, {} as never);
      const given = command.registeredArguments
        .filter((argument) => argument.required)
        .map((argument) =>
          /service/.test(argument.name())
            ? 'web'
            : /folder|directory|file/.test(argument.name())
              ? '/absent/x'
              : '1',
        );
      const json = command.options.some(({ long }) => long === '--json');
      const first = [name, ...given, ...(name === 'logs' ? ['--host', 'web-1'] : [])];
      return json ? [first, [...first, '--json']] : [first];
    }),
);

for (const answers of ['text', 'errors'] as const)
  t.test(`every verb, where every answer is full of escapes: ${answers}`, async (t) => {
    let filledIn = 0;
    for (const [name, route] of Object.entries(ROUTES) as Array<[RouteName, Route]>) {
      const [reply] = filledOf(route.reply, ESCAPES);
      if (route.reply.safeParse(reply).success) filledIn += 1;
      fake.answer(name, (() => {
        if (answers === 'text') return reply;
        throw new FleetError('internal', ESCAPES, { next: ESCAPES, data: { output: ESCAPES } });
      }) as never);
    }
    t.ok(filledIn > Object.keys(ROUTES).length / 2, `${filledIn} replies have the right form`);
    const verbs = new ManyVerbs(t.testdir({}), fake.url);
    t.teardown(() => verbs.close());
    let told = 0;
    for (const argv of VERBS_TO_RUN.flat()) {
      const { printed } = await verbs.run(argv);
      t.notMatch(printed, OBEYED, argv.join(' '));
      if (printed.includes('seen')) told += 1;
    }
    t.ok(told > VERBS_TO_RUN.length / 2, `${told} of ${VERBS_TO_RUN.flat().length} told something of it`);
  });
