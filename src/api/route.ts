/**
 * How a row of the route table is made: what it names (path, body, query, answers) fixes what its handler is given and
 * may give back, and whom it lets in decides what the handler can change.
 */
import type { JsonReply, EmptyReply } from "../http/respond.ts";
import type { MaybePromise, Method, Reply } from "../http/types.ts";
import type { Access } from "../identity/access.ts";
import type { Call, QueryOf } from "../wire/call.ts";
import { STREAM } from "../wire/call.ts";
import type { Schema } from "../wire/schema.ts";
import { readBody, readField } from "../wire/schema.ts";
import type { Scope } from "../wire/people.ts";
import type { AgentApp, App, Hands, PublicApp } from "./app.ts";
import type { ApiContext, GuardedRoute } from "./context.ts";
import { AgentRequest, PersonRequest, Request } from "./request.ts";
import type { Parts } from "./request.ts";

/**
 * The names in a path: `"host_id"` of `/v1/hosts/{host_id}/drain`. An `{id}` is told by what stands before it, where
 * that says whose it is: `"machines/{id}"` of `/v1/machines/{id}/stop`.
 */
export type Names<P extends string> = P extends `${infer Before}{${infer N}}${infer Rest}`
  ? Name<Before, N> | Names<Rest>
  : never;

type Name<Before extends string, N extends string> = Before extends `${string}/machines/`
  ? `machines/{${N}}`
  : Before extends `${string}/users/`
    ? `users/{${N}}`
    : Before extends `${string}/tokens/`
      ? `tokens/{${N}}`
      : N;

type BodyOf<S> = S extends { readonly body: Schema<infer T, unknown> }
  ? T
  : S extends { readonly body: typeof STREAM }
    ? AsyncIterable<Uint8Array>
    : undefined;

type QueryOfCall<S> = S extends { readonly query: infer Q } ? QueryOf<Q> : unknown;

type AnswerOf<S extends Call> = {
  [K in keyof S["answers"] & number]: S["answers"][K] extends Schema<infer T, unknown>
    ? JsonReply<K, T>
    : S["answers"][K] extends null
      ? EmptyReply<K>
      : Reply;
}[keyof S["answers"] & number];

export interface ApiRoute extends GuardedRoute {
  readonly call: Call;
  /** The handler's own. */
  readonly name: string;
  readonly handler: (context: ApiContext, hands: Hands) => MaybePromise<Reply>;
}

/** For anyone: a handler has nobody who asks, and nothing that it could change. */
export function open<const P extends string, const S extends Call>(
  method: Method,
  path: P,
  call: S,
  handler: (request: Request<Names<P>, BodyOf<S>, QueryOfCall<S>>, app: PublicApp) => MaybePromise<AnswerOf<S>>,
): ApiRoute {
  return row({ method, path, access: { kind: "public" }, call, name: handler.name }, (context, hands) =>
    handler(new Request(context, partsOf<P, S>(context, call)), hands.anyone),
  );
}

/** For host agents, by the licence hash: a handler has no person. */
export function internal<const P extends string, const S extends Call>(
  method: Method,
  path: P,
  call: S,
  handler: (request: AgentRequest<Names<P>, BodyOf<S>, QueryOfCall<S>>, app: AgentApp) => MaybePromise<AnswerOf<S>>,
): ApiRoute {
  return row({ method, path, access: { kind: "internal" }, call, name: handler.name }, (context, hands) =>
    handler(new AgentRequest(context, partsOf<P, S>(context, call), hands.agentDoor), hands.agents),
  );
}

/** Makes rows for people. */
type PersonRow = <const P extends string, const S extends Call>(
  method: Method,
  path: P,
  call: S,
  handler: (request: PersonRequest<Names<P>, BodyOf<S>, QueryOfCall<S>>, app: App) => MaybePromise<AnswerOf<S>>,
) => ApiRoute;

function people(scope: Scope | null, hostAdmin: boolean): PersonRow {
  const access = { kind: "protected", scope, hostAdmin } as const;
  return (method, path, call, handler) =>
    row({ method, path, access, call, name: handler.name }, (context, { people: app, store, clock }) =>
      handler(new PersonRequest(context, partsOf(context, call), access, store, clock), app),
    );
}

/** For any caller with credentials, whatever its scopes. */
export const protectedBy: PersonRow = people(null, false);

/** For a caller with this scope, in its org. */
export function scoped(scope: Scope): PersonRow {
  return people(scope, false);
}

/** For a host-admin with this scope. */
export function admin(scope: Scope): PersonRow {
  return people(scope, true);
}

/** Calls a row's handler with what its kind may have of these. */
export function callWith(hands: Hands): (route: ApiRoute, context: ApiContext) => MaybePromise<Reply> {
  return (route, context) => route.handler(context, hands);
}

interface RowHead {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  readonly call: Call;
  readonly name: string;
}

function row({ path, ...head }: RowHead, handler: ApiRoute["handler"]): ApiRoute {
  const { body } = head.call;
  return { ...head, pattern: path, body: body === undefined ? "none" : body === STREAM ? STREAM : "json", handler };
}

/** Reads a request by its row. Throws `invalid_field`, `malformed_json`. */
function partsOf<P extends string, S extends Call>(
  context: ApiContext,
  call: S,
): Parts<Names<P>, BodyOf<S>, QueryOfCall<S>> {
  // The router took the names out of this very path, and the schemas are those that the types were taken from.
  return {
    params: context.params,
    body: bodyOf(context, call),
    query: queryOf(context, call),
  } as Parts<Names<P>, BodyOf<S>, QueryOfCall<S>>;
}

function bodyOf(context: ApiContext, { body }: Call): unknown {
  if (body === undefined) return undefined;
  if (body !== STREAM) return readBody(body, context.body);
  if (context.stream === null) throw new Error(`${context.pattern} does not stream its body`);
  return context.stream;
}

const NO_QUERY: Readonly<Record<string, unknown>> = Object.freeze({});

function queryOf(context: ApiContext, { query }: Call): Readonly<Record<string, unknown>> {
  if (query === undefined) return NO_QUERY;
  const found: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(query)) {
    const given = context.query.get(name);
    if (given !== null) found[name] = readField(schema, name, given);
  }
  return found;
}
