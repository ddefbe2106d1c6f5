/**
 * The API's own document, and whether an answer is as it says. Every request of the system tests is held against it
 * (daemon.ts), so whatever they meet, whichever route and refusal, is documented.
 */
import { ROUTES } from "../../src/api/routes.ts";
import { openApi } from "../../src/api/openapi.ts";
import { ANY_REFUSALS, refusalsOf } from "../../src/api/refusals.ts";
import { Router } from "../../src/http/router.ts";
import { ERRORS } from "../../src/lib/errors.ts";
import { findings, lookUp } from "./json-schema.ts";

const router = new Router(ROUTES);
const document: unknown = JSON.parse(JSON.stringify(openApi(ROUTES, "0.0.0")));

export interface Answered {
  readonly method: string;
  /** With its query. */
  readonly target: string;
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

/** What is wrong with the answer by the document; empty where nothing is. */
export function undocumented({ method, target, status, contentType, body }: Answered): string[] {
  // A preflight is answered by the middleware, for whatever path.
  if (method === "HEAD" || (method === "OPTIONS" && status === 204) || status === 304) return [];
  const json: unknown =
    contentType?.startsWith("application/json") === true ? JSON.parse(body.toString("utf8")) : undefined;
  const refused = contentOf(lookUp(document, "#/components/responses/Refused"))["application/json"];
  const path = target.split("?", 1)[0] ?? "";
  const match = router.match(method, path);
  if (status >= 400) {
    const { code } = (json ?? {}) as { readonly code?: unknown };
    const known: readonly unknown[] = match.kind === "found" ? refusalsOf(match.route) : ANY_REFUSALS;
    // What has no code, or one of no table, is told of by its shape.
    const isKnown = code === undefined || !Object.hasOwn(ERRORS, String(code)) || known.includes(code);
    const where = match.kind === "found" ? match.route.pattern : path;
    const unexpected = isKnown ? [] : [`${method} ${where} is not said to be refused with ${String(code)}`];
    return [...checked(refused, json, status), ...unexpected];
  }
  if (match.kind !== "found") return [`${method} ${path} is answered with ${status}, and no route is there`];
  const answer = answerOf(match.route.pattern, method, status);
  if (answer === undefined) return [`${method} ${match.route.pattern} has no answer ${status}`];
  const content = contentOf(answer);
  const types = Object.keys(content);
  if (types.length === 0) return body.length === 0 ? [] : [`${status} has a body`];
  const [type = ""] = (contentType ?? "").split(";");
  const media = content[type] ?? content[contentType ?? ""];
  // An event stream is what a client asked for instead.
  if (media === undefined)
    return type === "text/event-stream" ? [] : [`${contentType ?? "nothing"} is none of ${types.join()}`];
  return json === undefined ? [] : checked(media, json, status);
}

function checked(media: unknown, json: unknown, status: number): string[] {
  const { schema } = media as { readonly schema?: unknown };
  return schema === undefined ? [] : findings(document, schema, json, String(status));
}

function answerOf(pattern: string, method: string, status: number): unknown {
  const paths = lookUp(document, "#/paths") as Readonly<
    Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, unknown>> }>>>
  >;
  return paths[pattern]?.[method.toLowerCase()]?.responses[String(status)];
}

function contentOf(answer: unknown): Readonly<Record<string, unknown>> {
  const { content } = answer as { readonly content?: Readonly<Record<string, unknown>> };
  return content ?? {};
}
