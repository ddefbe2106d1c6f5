/** The API as an OpenAPI 3.1 document, made of the route table and the schemas of wire/; nothing is said twice. */
import { VERSION } from "../lib/version.ts";
import type { Call, Media } from "../wire/call.ts";
import { STREAM } from "../wire/call.ts";
import type { Define, JsonSchema, Schema } from "../wire/schema.ts";
import { ERROR } from "../wire/service.ts";
import { refusalsOf } from "./refusals.ts";
import type { ApiRoute } from "./route.ts";
import { ROUTES } from "./routes.ts";

const INTRODUCTION =
  "The control plane for fleets of bare-metal hosts that run microVMs. Unknown fields are ignored, a known one of " +
  "the wrong type is a 400 that names it; absent and null mean the same in a request. GET answers HEAD. " +
  "Paths of volumes, secrets and databases are reserved, and answer 501.";

const SECURITY = {
  token: { type: "http", scheme: "bearer", description: "A session token or an API key." },
  licence: { type: "http", scheme: "bearer", description: "The lower-case hex SHA-256 of the licence key." },
};

const REFUSED = { $ref: "#/components/responses/Refused" };

/** The document of all routes, as it is served and printed. */
export function openApiText(): string {
  return `${JSON.stringify(openApi(ROUTES, VERSION), null, 2)}\n`;
}

/** The document as a value that JSON can say. */
export function openApi(routes: readonly ApiRoute[], version: string): JsonSchema {
  const schemas: Record<string, JsonSchema> = {};
  const define: Define = (name, describe) => {
    if (!Object.hasOwn(schemas, name)) {
      // In place before it is described: a part may refer to itself.
      schemas[name] = {};
      schemas[name] = describe();
    }
    return { $ref: `#/components/schemas/${name}` };
  };
  const refused = { description: "What is wrong, and what to do.", ...jsonContent(ERROR, define) };
  const paths: Record<string, Record<string, JsonSchema>> = {};
  const names = new Set<string>();
  // What is only reserved answers nothing that could be described.
  for (const route of routes.filter(({ call }) => Object.keys(call.answers).length > 0)) {
    const item = (paths[route.pattern] ??= {});
    item[route.method.toLowerCase()] = { operationId: idOf(route, names), ...operation(route, define) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "zwrmd",
      version,
      description: INTRODUCTION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: { securitySchemes: SECURITY, responses: { Refused: refused }, schemas },
  };
}

/** The handler's name; where several rows share one, with the row's method and path. */
function idOf({ name, method, pattern }: ApiRoute, taken: Set<string>): string {
  const id = taken.has(name) ? `${name}_${method.toLowerCase()}${pattern.replace(/[^A-Za-z0-9]+/g, "_")}` : name;
  taken.add(id);
  return id;
}

function operation(route: ApiRoute, define: Define): JsonSchema {
  const { pattern, access, call } = route;
  const tag = pattern.split("/").find((part) => !["", "v1", "internal"].includes(part)) ?? "service";
  const scope = access.kind === "protected" ? scopeText(access) : null;
  const answers = Object.entries(call.answers).map(([status, answer]) => [status, answerOf(status, answer, define)]);
  return {
    tags: [tag],
    summary: call.summary,
    ...(scope === null ? {} : { description: scope }),
    security: access.kind === "public" ? [] : [access.kind === "internal" ? { licence: [] } : { token: [] }],
    ...parameters(pattern, access, call, define),
    ...(call.body === undefined ? {} : { requestBody: bodyOf(call.body, define) }),
    responses: { ...(Object.fromEntries(answers) as JsonSchema), "4XX": REFUSED, "5XX": REFUSED },
    "x-error-codes": refusalsOf(route),
  };
}

function scopeText({ scope, hostAdmin }: Extract<ApiRoute["access"], { readonly kind: "protected" }>): string | null {
  const who = hostAdmin ? "For a host-admin" : "For anyone who is in the org";
  return scope === null ? null : `${who}; a key with scopes needs ${scope}.`;
}

function parameters(
  pattern: string,
  access: ApiRoute["access"],
  { query = {}, idempotencyKey }: Call,
  define: Define,
): JsonSchema {
  const inPath = [...pattern.matchAll(/\{([a-z_]+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query).map(([name, schema]) => ({
    name,
    in: "query",
    schema: schema.describe(define),
  }));
  const header = (name: string, description: string): JsonSchema => ({
    name,
    in: "header",
    description,
    schema: { type: "string" },
  });
  const headers = [
    ...(access.kind === "protected" ? [header("X-Zwrm-Org", "The org to act in, by its slug or id.")] : []),
    ...(access.kind === "internal" ? [header("X-Zwrm-Host-Key", "The host's key, of 32 to 128 characters.")] : []),
    ...(idempotencyKey === true
      ? [header("Idempotency-Key", "The same key with the same request is carried out once.")]
      : []),
  ];
  const all = [...inPath, ...inQuery, ...headers];
  return all.length === 0 ? {} : { parameters: all };
}

function bodyOf(body: NonNullable<Call["body"]>, define: Define): JsonSchema {
  if (body === STREAM) return { required: true, content: { "application/octet-stream": {} } };
  return { required: !takesNothing(body), ...jsonContent(body, define) };
}

/** An absent body is `{}`. */
function takesNothing(body: Schema<unknown, unknown>): boolean {
  try {
    body.read({});
    return true;
  } catch {
    return false;
  }
}

function answerOf(status: string, answer: Schema<unknown, unknown> | Media | null, define: Define): JsonSchema {
  const description = DESCRIPTIONS[status] ?? "Done.";
  if (answer === null) return { description };
  return "media" in answer
    ? {
        description,
        content: { [answer.media]: answer.schema === undefined ? {} : { schema: answer.schema.describe(define) } },
      }
    : { description, ...jsonContent(answer, define) };
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  200: "As asked.",
  201: "Made.",
  202: "Accepted and on disk; it is being carried out.",
  204: "Done; there is nothing to say.",
  206: "A part.",
  304: "Unchanged.",
};

function jsonContent(schema: Schema<unknown, unknown>, define: Define): JsonSchema {
  return { content: { "application/json": { schema: schema.describe(define) } } };
}
