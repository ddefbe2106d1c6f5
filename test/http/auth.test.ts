import assert from "node:assert/strict";
import { test } from "node:test";
import { Context } from "../../src/http/context.ts";
import { auth } from "../../src/http/middleware/auth.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { json } from "../../src/http/respond.ts";
import type { MaybePromise, Reply, RouteShape } from "../../src/http/types.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { get, route, serve, Wire } from "./harness.ts";

const ROUTE: RouteShape = { method: "GET", pattern: "/", body: "none" };

function contextOf(kind: "found" | "none"): Context<RouteShape, string> {
  const match = kind === "found" ? ({ kind, route: ROUTE, params: {} } as const) : ({ kind } as const);
  // Auth looks at neither of the first two.
  return new Context({} as never, {} as never, "r", "/", "", match, {
    unixSocket: false,
    remoteAddress: null,
    localAddress: null,
  });
}

function run(
  context: Context<RouteShape, string>,
  authenticate: () => MaybePromise<string | null>,
): MaybePromise<Reply> {
  return auth<RouteShape, string>(authenticate)(context, () => json(200, { caller: context.caller }));
}

test("sets the caller before the handler runs, at once or later, as the question is answered", async () => {
  const now = run(contextOf("found"), () => "ann");
  assert.ok(!(now instanceof Promise));
  assert.equal(now.body, '{"caller":"ann"}');
  const later = run(contextOf("found"), () => Promise.resolve("bob"));
  assert.ok(later instanceof Promise);
  assert.equal((await later).body, '{"caller":"bob"}');
  await assert.rejects(async () => run(contextOf("found"), () => Promise.reject(new Error("no"))), /no/);
});

test("asks nobody about a path without a route", () => {
  const reply = run(contextOf("none"), () => assert.fail("asked"));
  assert.ok(!(reply instanceof Promise) && reply.status === 200);
});

test("a handler is told who calls", async (t) => {
  const { connect } = await serve(t, { routes: [route("GET", "/me", "none", ({ caller }) => json(200, { caller }))] });
  assert.equal((await (await connect()).send(get("/me")).one()).text, '{"caller":"someone"}');
});

test("a middleware before Recovery that fails, and a listener to the end that fails, stop nothing", async (t) => {
  const errors: string[] = [];
  const log = { debug() {}, info() {}, warn() {}, error: (message: string) => void errors.push(message) };
  const server = createHttpServer<RouteShape, null>({
    router: { match: () => ({ kind: "none" }) },
    handle: (context) => {
      context.onFinish(() => {
        throw new Error("a bad listener");
      });
      if (context.path === "/sync") throw new Error("at once");
      return context.path === "/async" ? Promise.reject(new Error("later")) : json(200, {});
    },
    clock: systemClock,
    log,
  });
  t.after(() => server.close(0));
  const address = await server.listen({ host: "127.0.0.1", port: 0 });
  assert.ok(typeof address === "object");
  for (const [path, status] of [
    ["/", 200],
    ["/sync", 500],
    ["/async", 500],
  ] as const) {
    const wire = await Wire.connect(address.port);
    const answer = await wire.send(get(path)).one();
    assert.equal(answer.status, status);
    assert.doesNotMatch(answer.text, /at once|later/);
    wire.socket.destroy();
  }
  assert.equal(errors.filter((message) => message.includes("listener")).length, 3);
  assert.equal(errors.filter((message) => message.includes("could not be answered")).length, 2);
});
