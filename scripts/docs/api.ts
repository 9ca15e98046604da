/** docs/api.md: every route of the table, and the event stream. */

import type { Access } from '@fleet/protocol/access.ts';
import { release } from '@fleet/protocol/api/builds.ts';
import { deploymentRow, deploymentState, stepRow } from '@fleet/protocol/api/deployments.ts';
import { envelope, event, stream } from '@fleet/protocol/api/events.ts';
import { hostRow } from '@fleet/protocol/api/fleet.ts';
import { planRequest, stepKind } from '@fleet/protocol/api/plans.ts';
import { recap } from '@fleet/protocol/api/recap.ts';
import { BY_HEADER, DOCS, EVENTS, ROUTES, type Route } from '@fleet/protocol/api/routes.ts';
import { outcome } from '@fleet/protocol/words.ts';
import { Shapes } from './shapes.ts';

const NAMED = {
  PlanRequest: planRequest,
  Deployment: deploymentRow,
  DeploymentState: deploymentState,
  Step: stepRow,
  StepKind: stepKind,
  Outcome: outcome,
  Recap: recap,
  Release: release,
  Host: hostRow,
  Event: event,
};

export function api(): string {
  const shapes = new Shapes(NAMED);
  const routes = Object.entries(ROUTES) as Array<[string, Route]>;
  return [
    '# The HTTP API',
    INTRODUCTION,
    '## Routes',
    [
      '| Route | What it does | Who may |',
      '| --- | --- | --- |',
      ...routes.map(
        ([name, { access, method, path, summary }]) =>
          `| [\`${method} ${path}\`](#${name.replaceAll('.', '')}) | ${summary} | ${mayOf(access)} |`,
      ),
      `| [\`GET ${EVENTS.path}\`](#the-event-stream) | ${EVENTS.summary} | ${mayOf(EVENTS.access)} |`,
    ].join('\n'),
    ...routes.flatMap(([name, route]) => [`### ${name}`, `${route.summary}.`, blockOf(route, shapes)]),
    '## The event stream',
    `\`GET ${EVENTS.path}\`, with the query \`${shapes.write(stream.query, 'input')}\`.`,
    STREAM,
    block(shapes.write(envelope, 'output')),
    'An `Event` is one of these, told apart by `type`:',
    block(shapes.writeBranches(event).join('\n')),
    '## Shapes that stand in several places',
    ...Object.entries(NAMED)
      .filter(([name]) => name !== 'Event')
      .flatMap(([name, schema]) => [
        `### ${name}`,
        block(shapes.writeWhole(schema, schema === planRequest ? 'input' : 'output')),
      ]),
  ].join('\n\n');
}

function mayOf(access: Access): string {
  return access === 'key' ? 'whoever has the secret that it is about' : access;
}

const INTRODUCTION = `What \`fleet\` itself uses, and all that it uses. A running controller shows the same as an
OpenAPI page at \`${DOCS.path}\`. Every request carries a token of \`fleet people add\`, as the header \`Authorization: Bearer TOKEN\`.
Roles are viewer, deployer, approver and admin, each with all that the ones before it may; a token may be for some services or
environments alone, and then sees nothing else. Whoever has no token is answered the same (\`unauthenticated\`) whatever was asked for.
With \`development: true\` in controller.yaml nobody is asked; \`${BY_HEADER}\` in a request then says who it is, for the history.

Bodies and replies are JSON; a body's content type is \`application/json\`, written exactly so. \`key?\` may be left out, \`= value\` is what it is then. Durations are milliseconds, moments
are ISO 8601 in UTC. An error has the HTTP status of [its code](errors.md) and this body:

\`\`\`
{ code: string; message: string; next?: string; data?: { [name]: anything } }
\`\`\`

A request with an \`Origin\` is refused unless controller.yaml names it under \`origins\`; in development, one with an
\`Origin\` of another site, or a \`Host\` that is not loopback. More than 60 refused requests in a minute from one address, or with
one token, are answered with \`too_many\`, and so are more than 6,000 with one token.`;

const STREAM = `Each message has the event's number as its \`id\` and an envelope as its \`data\`. Events are kept: the
stream begins after \`after\`, or after the header \`Last-Event-ID\`, and without either with the first one. \`topic\` is
\`deployment/42\` or \`build/7\`. The stream does not end by itself; the last event of a deployment is
\`deployment.ended\`, of a build \`build.ended\`. Progress has no number: it is not kept. Every 15 seconds comes a comment.
It ends within 5 s of the token being revoked or expired.
A reader that falls 1 MiB behind is cut off, and misses nothing when it comes back with the last number that it has seen.`;

function blockOf({ method, path, query, body, gives, reply }: Route, shapes: Shapes): string {
  const parts = [`${method} ${path}`];
  if (query) parts.push(`query ${shapes.write(query, 'input')}`);
  if (body) parts.push(`body ${shapes.write(body, 'input')}`);
  return block([...parts, `reply ${gives ?? shapes.write(reply, 'output')}`].join('\n'));
}

function block(text: string): string {
  return `\`\`\`\n${text}\n\`\`\``;
}
