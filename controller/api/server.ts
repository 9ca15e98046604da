/** The HTTP API: every route of the table, errors in one form, the event stream, and the page that documents it all. */
import type { Server } from 'node:http';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { stream } from '@fleet/protocol/api/events.ts';
import { BY_HEADER, EVENTS_PATH, ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { asFleetError, CODES, FleetError } from '@fleet/protocol/errors.ts';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import { backups } from './backups.ts';
import { builds } from './builds.ts';
import { deployments } from './deployments.ts';
import { streamEvents } from './events.ts';
import type { Handlers, Served } from './handlers.ts';
import { hosts } from './hosts.ts';
import { status } from './status.ts';

export async function createApi(
  served: Served,
  log: FastifyBaseLogger,
  server: Server,
): Promise<FastifyInstance> {
  const refuse = (thrown: unknown, reply: FastifyReply) => {
    const error = errorOf(thrown);
    if (error.code === 'internal') log.error({ err: thrown }, 'a request failed unforeseen');
    void reply.status(CODES[error.code].http).send(error.toJSON());
  };
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 1024 * 1024,
    forceCloseConnections: true,
    // The same server also takes the agents' connections.
    serverFactory: (handler) => server.on('request', handler),
    // What does not even get to a route.
    frameworkErrors: (error, _request, reply) => refuse(error, reply),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) => refuse(error, reply));
  app.setNotFoundHandler((request, reply) => {
    const error = new FleetError('bad_request', `there is no ${request.method} ${request.url}`, {
      next: 'the routes are listed at /docs',
    });
    void reply.status(404).send(error.toJSON());
  });
  app.addHook('onRequest', async (request) => refuseBrowsersElsewhere(request));
  await app.register(swagger, {
    openapi: {
      info: { title: 'fleet', description: 'The API of the fleet controller', version: served.version },
    },
    transform: jsonSchemaTransform,
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });
  await app.register(async (scope) => addRoutes(scope, served));
  return app;
}

function addRoutes(app: FastifyInstance, served: Served): void {
  const handlers: Handlers = {
    ...status(served),
    ...hosts(served),
    ...builds(served),
    ...deployments(served),
    ...backups(served),
  };
  for (const [name, route] of Object.entries(ROUTES) as Array<[RouteName, Route]>) {
    const { method, path, summary, params, query, body, reply } = route;
    const schema = {
      summary,
      operationId: name,
      ...(params && { params }),
      ...(query && { querystring: query }),
      ...(body && { body }),
      response: { 200: reply },
    };
    app.route({
      method,
      url: path,
      schema,
      handler: (request) => {
        // The validators of this very route made these: the table ties them to the handler, which the compiler cannot follow.
        const handler = handlers[name] as (asked: object) => Promise<unknown>;
        return handler({
          params: request.params,
          query: request.query,
          body: request.body,
          by: byOf(request),
        });
      },
    });
  }
  app.get(
    EVENTS_PATH,
    { schema: { summary: 'What happens, as server-sent events', querystring: stream.query } },
    async (request, reply) => {
      const { topic, after } = stream.query.parse(request.query);
      await checkTopic(served, topic);
      const last = Number(request.headers['last-event-id'] ?? after ?? 0);
      reply.hijack();
      await streamEvents(served.store.events, reply.raw, {
        after: Number.isSafeInteger(last) ? last : 0,
        topic,
      });
    },
  );
}

/** Whoever follows what does not exist would wait for ever. */
async function checkTopic({ store }: Served, topic: string | undefined): Promise<void> {
  const [kind, id] = topic?.split('/') ?? [];
  if (kind === 'deployment') await store.deployments.get(Number(id));
  if (kind === 'build') await store.builds.get(Number(id));
}

/** Until people have tokens, whoever is on this machine may ask, and says who it is. */
function byOf(request: FastifyRequest): string {
  const by = request.headers[BY_HEADER];
  return typeof by === 'string' && /^[\w.@+-]{1,100}$/.test(by) ? by : 'unknown';
}

/**
 * A page on some site must not drive a controller that listens on loopback: it cannot do without an Origin, nor, when it
 * rebinds a name of its own to 127.0.0.1, without that name as Host.
 */
function refuseBrowsersElsewhere({ headers }: FastifyRequest): void {
  const host = headers.host ?? '';
  const local = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host);
  if (local && (headers.origin === undefined || headers.origin === `http://${host}`)) return;
  throw new FleetError('bad_request', 'this request comes from another site', {
    next: `ask at http://127.0.0.1, without an Origin`,
  });
}

function errorOf(thrown: unknown): FleetError {
  if (!hasZodFastifySchemaValidationErrors(thrown) && !isFastifysRefusal(thrown)) return asFleetError(thrown);
  return new FleetError('bad_request', thrown.message, {
    next: 'the routes and their forms are listed at /docs',
  });
}

/** What Fastify found wrong with a request; of what it finds wrong with an answer of ours the caller is innocent. */
function isFastifysRefusal(error: unknown): error is Error {
  return (
    error instanceof Error &&
    'code' in error &&
    String(error.code).startsWith('FST_ERR_') &&
    'statusCode' in error &&
    Number(error.statusCode) < 500
  );
}
