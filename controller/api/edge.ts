/**
 * The one place where it is decided who is let in: before a body is read, for every request, by the access that stands beside
 * each route. What is in no table is refused like everything else to whoever is not known.
 */
import type { IncomingHttpHeaders } from 'node:http';
import rateLimit from '@fastify/rate-limit';
import { type Access, EVERYWHERE, mayAct } from '@fleet/protocol/access.ts';
import { BY_HEADER, ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { People, Person } from '../people/people.ts';
import type { Audit } from '../store/audit.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A route without it is refused to everybody. */
    access?: Access;
    /** What the audit log calls it. */
    name?: string;
    /** What its body has to be; JSON where it does not say. */
    takes?: string;
  }
}

export interface EdgeOptions {
  /** Loopback only, and nobody is asked who they are. */
  development: boolean;
  /** What a browser's page may be from; a program sends none. */
  origins: readonly string[];
}

/** Within a minute: refusals of one address, and of one token; all requests of one token; all requests for routes with a proof of their own, of one address. */
const REFUSED = 60;
const ASKED = 6000;
const UNPROVEN = 600;

/** Whoever has no token, on routes where something else than a token is the proof. */
const NOBODY: Person = {
  token: null,
  name: 'nobody',
  role: 'viewer',
  services: [],
  environments: [],
  expires: null,
};

export interface Edge {
  /** Of a request that was let in. */
  personOf(request: FastifyRequest): Person;
  /** Writes down that somebody was refused who is known, and throws it. */
  refuse(
    request: FastifyRequest,
    what: string,
    error: FleetError,
    details?: Record<string, unknown>,
  ): Promise<never>;
}

export async function guardEdge(
  app: FastifyInstance,
  { people, audit }: { people: People; audit: Audit },
  { development, origins }: EdgeOptions,
): Promise<Edge> {
  const persons = new WeakMap<FastifyRequest, Person>();
  const personOf = (request: FastifyRequest) => persons.get(request) ?? NOBODY;
  await app.register(rateLimit, { global: false, timeWindow: 60_000 });
  const tokenOf = (request: FastifyRequest) => personOf(request).token ?? 'none';
  const limits = {
    refusedAddress: app.createRateLimit({ max: REFUSED }),
    refusedToken: app.createRateLimit({ max: REFUSED, keyGenerator: tokenOf }),
    token: app.createRateLimit({ max: ASKED, keyGenerator: tokenOf }),
    unproven: app.createRateLimit({ max: UNPROVEN }),
  };
  const count = async (limit: (typeof limits)[keyof typeof limits], request: FastifyRequest, who: string) => {
    const counted = await limit(request);
    if (!counted.isAllowed && counted.isExceeded)
      throw new FleetError('too_many', `${who}: more than ${counted.max} in a minute`, {
        next: `wait ${counted.ttlInSeconds} s`,
      });
  };

  async function refuse(
    request: FastifyRequest,
    what: string,
    error: FleetError,
    details: Record<string, unknown> = {},
  ): Promise<never> {
    await count(limits.refusedToken, request, 'refused requests with this token');
    const { name: who } = personOf(request);
    await audit.append({
      who,
      from: request.ip,
      what,
      outcome: 'refused',
      details: { ...details, code: error.code },
    });
    throw error;
  }

  async function letIn(request: FastifyRequest): Promise<void> {
    const { access, name = 'nothing' } = request.routeOptions.config;
    if (access === 'key') return count(limits.unproven, request, 'requests from this address');
    try {
      persons.set(request, await people.authenticate(request.headers.authorization));
    } catch (error) {
      await count(limits.refusedAddress, request, 'refused requests from this address');
      throw error;
    }
    await count(limits.token, request, 'requests with this token');
    const { name: who, role } = personOf(request);
    if (request.is404) return;
    if (access !== undefined && mayAct(role, access)) return;
    const needed = access === undefined ? 'nobody may do this' : `this needs the role ${access}`;
    await refuse(
      request,
      name,
      new FleetError('forbidden', `${who} has the role ${role}: ${needed}`, {
        next: 'ask somebody with the role admin for a token that may: fleet people add NAME --role ROLE',
      }),
      namedIn(name, request.params),
    );
  }

  app.addHook('onRequest', async (request) => {
    if (development) {
      refuseBrowsersElsewhere(request.headers);
      persons.set(request, {
        ...EVERYWHERE,
        token: null,
        name: byOf(request.headers),
        role: 'admin',
        expires: null,
      });
    } else {
      refuseOrigins(request.headers, origins);
      await letIn(request);
    }
    refuseContent(request.headers, request.routeOptions.config.takes ?? 'application/json');
  });
  return { personOf, refuse };
}

/** What the path names, where it has the form that the route asks for. */
function namedIn(name: string, params: unknown): Record<string, unknown> {
  const route: Route | undefined = Object.hasOwn(ROUTES, name) ? ROUTES[name as RouteName] : undefined;
  const named = route?.params?.safeParse(params);
  return named?.success ? (named.data as Record<string, unknown>) : {};
}

/** A form on some page can send three content types without being asked for more, and disguise others. */
function refuseContent(headers: IncomingHttpHeaders, wanted: string): void {
  const type = headers['content-type'];
  if (type === undefined || type === wanted) return;
  throw new FleetError('bad_request', `a body is ${wanted} here, written exactly so`, {
    next: `send the header content-type: ${wanted}`,
  });
}

function refuseOrigins({ origin }: IncomingHttpHeaders, origins: readonly string[]): void {
  if (origin === undefined || origins.includes(origin)) return;
  throw new FleetError('forbidden', 'this request comes from the page of another site', {
    next: 'name that site under `origins` in controller.yaml, if it is yours',
  });
}

/** Where nobody is asked, whoever is on this machine says who it is. */
function byOf(headers: IncomingHttpHeaders): string {
  const by = headers[BY_HEADER];
  return typeof by === 'string' && /^[\w.@+-]{1,100}$/.test(by) ? by : 'unknown';
}

/**
 * A page on some site must not drive a controller that listens on loopback: it cannot do without an Origin, nor, when it
 * rebinds a name of its own to 127.0.0.1, without that name as Host.
 */
function refuseBrowsersElsewhere(headers: IncomingHttpHeaders): void {
  const host = headers.host ?? '';
  const local = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host);
  if (local && (headers.origin === undefined || headers.origin === `http://${host}`)) return;
  throw new FleetError('bad_request', 'this request comes from another site', {
    next: `ask at http://127.0.0.1, without an Origin`,
  });
}
