/** The HTTP API: every route of the table, errors in one form, the event stream, and the page that documents it all. */
import type { Server } from 'node:http';
import { Readable } from 'node:stream';
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { Download } from '@fleet/protocol/api/programs.ts';
import { DOCS, EVENTS, ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { asFleetError, CODES, FleetError } from '@fleet/protocol/errors.ts';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify';
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import { People, type Person } from '../people/people.ts';
import { Sessions, SWEEP_MS } from '../people/sessions.ts';
import { audit } from './audit.ts';
import { audited, told } from './audited.ts';
import { backups } from './backups.ts';
import { builds } from './builds.ts';
import { deployments } from './deployments.ts';
import { doctor } from './doctor.ts';
import { type Edge, type EdgeOptions, guardEdge } from './edge.ts';
import { enrolment } from './enrolment.ts';
import { streamEvents } from './events.ts';
import type { Asked, Handlers, Served, Serving } from './handlers.ts';
import { hosts } from './hosts.ts';
import { outAndIn } from './outAndIn.ts';
import { people } from './people.ts';
import { profiles } from './profiles.ts';
import { programs } from './programs.ts';
import { isUnscoped, isWithinReach, mayFollow } from './reach.ts';
import { rehearsals } from './rehearsals.ts';
import { status } from './status.ts';
import { trust } from './trust.ts';

/** No page runs or loads what is not a file of this server, none is shown inside another, and nothing is asked in plain text twice. */
const HEADERS = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      connectSrc: ["'self'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
  frameguard: { action: 'deny' },
  hsts: { maxAge: 365 * 24 * 60 * 60, includeSubDomains: false },
} as const satisfies FastifyHelmetOptions;

export interface ApiOptions extends EdgeOptions {
  /** Milliseconds since 1970. */
  now(): number;
}

export async function createApi(
  serving: Serving,
  log: FastifyBaseLogger,
  server: Server,
  options: ApiOptions,
): Promise<FastifyInstance> {
  const { audit, tokens } = serving.store;
  const people = new People({ tokens, now: options.now });
  const served: Served = { ...serving, sessions: new Sessions(people), now: options.now };
  const refuse = (thrown: unknown, reply: FastifyReply) => {
    const error = served.secrets.known.error(errorOf(thrown));
    if (error.code === 'internal') log.error({ err: thrown }, 'a request failed unforeseen');
    void reply.status(CODES[error.code].http).send(error.toJSON());
  };
  const app = Fastify({
    // At level info it would tell once more where it listens, and tell it wrongly: it does not know that the server speaks TLS.
    loggerInstance: log.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 1024 * 1024,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    // The same server also takes the agents' connections.
    serverFactory: (handler) => server.on('request', handler),
    // What does not even get to a route, and passes no hook.
    frameworkErrors: (error, request, reply) => {
      const known = options.development
        ? Promise.resolve()
        : people.authenticate(request.headers.authorization);
      known.then(
        () => refuse(error, reply),
        (unknown: unknown) => refuse(unknown, reply),
      );
    },
  });
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) => refuse(error, reply));
  app.setNotFoundHandler((request, reply) => {
    const error = new FleetError('bad_request', `there is no ${request.method} ${request.url}`, {
      next: 'the routes are listed at /docs',
    });
    void reply.status(404).send(error.toJSON());
  });
  await app.register(helmet, HEADERS);
  const edge = await guardEdge(app, { people, audit }, options);
  const sweeping = setInterval(() => {
    served.sessions
      .sweep()
      .catch((error: unknown) => log.error({ err: error }, 'tokens could not be looked up'));
  }, SWEEP_MS).unref();
  app.addHook('onClose', async () => clearInterval(sweeping));
  audit.follow(({ seq, hash, who, from, what, outcome }) =>
    log.info({ audit: { seq, hash, who, from, what, outcome } }, 'audit'),
  );
  app.addHook('preSerialization', async (_request, _reply, payload) => served.secrets.known.all(payload));
  await app.register(swagger, {
    openapi: {
      info: { title: 'fleet', description: 'The API of the fleet controller', version: served.version },
    },
    transform: jsonSchemaTransform,
  });
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: DOCS.access, name: 'docs' };
    });
    await scope.register(swaggerUi, { routePrefix: DOCS.path });
  });
  await app.register(async (scope) => addRoutes(scope, served, edge));
  return app;
}

function addRoutes(app: FastifyInstance, served: Served, edge: Edge): void {
  const handlers: Handlers = {
    ...status(served),
    ...hosts(served),
    ...doctor(served),
    ...rehearsals(served),
    ...outAndIn(served),
    ...enrolment(served),
    ...profiles(served),
    ...builds(served),
    ...deployments(served),
    ...backups(served),
    ...programs(served),
    ...people(served),
    ...audit(served),
    ...trust(served),
  };
  // The edge lets it through to the routes alone that take it, and it is read by them.
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
  for (const [name, route] of Object.entries(ROUTES) as Array<[RouteName, Route]>) {
    const { access, method, path, summary, params, query, body, takes, gives, reply } = route;
    const schema = {
      summary,
      operationId: name,
      ...(params && { params }),
      ...(query && { querystring: query }),
      ...(body && { body }),
      ...(gives === undefined && { response: { 200: reply } }),
    };
    app.route({
      method,
      url: path,
      schema,
      config: { access, name, ...(takes && { takes }) },
      handler: async (request, answer) => {
        // The validators of this very route made these: the table ties them to the handler, which the compiler cannot follow.
        const handler = handlers[name] as (asked: object) => Promise<unknown>;
        const { params, query, ip: from } = request;
        const body = takes === undefined ? { body: request.body } : { upload: request.body };
        const who = edge.personOf(request);
        const asked = { params, query, ...body, who, by: who.name, from } as Asked<RouteName>;
        if (access !== 'key' && !(await isWithinReach(name, asked, served)))
          await edge.refuse(request, name, outOfReach(who), told(asked, served.secrets));
        const given = await audited(served, name, asked, () => handler(asked));
        if (gives === undefined) return given;
        const { size, content } = given as Download;
        return answer.type(gives).header('content-length', size).send(Readable.from(content));
      },
    });
  }
  app.get(
    EVENTS.path,
    {
      schema: { summary: EVENTS.summary, querystring: EVENTS.query },
      config: { access: EVENTS.access, name: 'events' },
    },
    async (request, reply) => {
      const who = edge.personOf(request);
      const { topic, after } = EVENTS.query.parse(request.query);
      // Whoever follows what does not exist would wait for ever.
      if (topic !== undefined && !(await mayFollow(who, topic, served)))
        await edge.refuse(request, 'events', outOfReach(who), { topic });
      const last = Number(request.headers['last-event-id'] ?? after ?? 0);
      const { raw } = reply;
      const close = who.token === null ? () => {} : served.sessions.open(who.token, () => raw.destroy());
      raw.on('close', close);
      reply.hijack();
      await streamEvents(served.store.events, raw, {
        after: Number.isSafeInteger(last) ? last : 0,
        topic,
        mayRead: isUnscoped(who) || topic !== undefined ? undefined : (of) => mayFollow(who, of, served),
      });
    },
  );
}

function outOfReach({ name, services, environments }: Person): FleetError {
  const reach = `services ${services?.join(', ') ?? 'all'}, environments ${environments?.join(', ') ?? 'all'}`;
  return new FleetError('forbidden', `this is out of the scope of ${name}: ${reach}`, {
    next: 'ask somebody with the role admin for a token that reaches further',
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
