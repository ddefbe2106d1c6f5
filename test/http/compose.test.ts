import assert from "node:assert/strict";
import { test } from "node:test";
import type { Middleware } from "../../src/http/compose.ts";
import { compose } from "../../src/http/compose.ts";
import type { Context } from "../../src/http/context.ts";
import { json } from "../../src/http/respond.ts";
import type { RouteShape } from "../../src/http/types.ts";

type M = Middleware<RouteShape, null>;
// The middlewares of these tests do not look at it.
const CONTEXT = {} as Context<RouteShape, null>;

test("runs in the array's order and back, without a promise where nobody has one", () => {
  const seen: string[] = [];
  const mark =
    (name: string): M =>
    (_context, next) => {
      seen.push(`> ${name}`);
      const reply = next();
      seen.push(`< ${name}`);
      return reply;
    };
  const reply = compose<RouteShape, null>([mark("a"), mark("b")], () => json(200, {}))(CONTEXT);
  assert.ok(!(reply instanceof Promise));
  assert.deepEqual(seen, ["> a", "> b", "< b", "< a"]);
});

test("passes a promise through untouched", async () => {
  const promise = Promise.resolve(json(200, {}));
  const reply = compose<RouteShape, null>([(_context, next) => next()], () => promise)(CONTEXT);
  assert.equal(reply, promise);
  assert.equal((await reply).status, 200);
});

test("a middleware that does not call next() answers alone", () => {
  const reply = compose<RouteShape, null>([() => json(418, {})], () => assert.fail("the terminal ran"))(CONTEXT);
  assert.ok(!(reply instanceof Promise) && reply.status === 418);
});

test("a second next() throws, at once and later, and answers nothing twice", async () => {
  let answered = 0;
  const terminal = () => json(200, { answered: (answered += 1) });
  const twice: M = (_context, next) => {
    next();
    return next();
  };
  assert.throws(() => compose<RouteShape, null>([twice], terminal)(CONTEXT), /next\(\) twice/);
  const late: M = async (_context, next) => {
    await next();
    return next();
  };
  await assert.rejects(async () => compose<RouteShape, null>([late], terminal)(CONTEXT), /next\(\) twice/);
  assert.equal(answered, 2);
});

test("an empty array is the terminal", () => {
  const reply = compose<RouteShape, null>([], () => json(200, {}))(CONTEXT);
  assert.ok(!(reply instanceof Promise) && reply.status === 200);
});
