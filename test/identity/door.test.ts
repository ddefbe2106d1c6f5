/** The door of the API: by whom it lets requests in, that a session in use slides on, and what a reload changes. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import test from "node:test";
import { Context } from "../../src/http/context.ts";
import type { Match } from "../../src/http/types.ts";
import type { Access, Caller } from "../../src/identity/access.ts";
import type { AuthSettings } from "../../src/identity/authenticate.ts";
import type { Guarded } from "../../src/identity/door.ts";
import { Door } from "../../src/identity/door.ts";
import { newToken } from "../../src/identity/tokens.ts";
import { sha256Hex } from "../../src/lib/ids.ts";
import { turn } from "../support/clock.ts";
import { apply } from "../support/rows.ts";
import type { Lab } from "./lab.ts";
import { createLab, refusal, sessionCreated, TTL_MS, userCreated } from "./lab.ts";

const PERSON: Access = { kind: "protected", scope: null, hostAdmin: false };
const LICENCE = "a".repeat(64);
const OTHER = "b".repeat(64);
const SETTINGS: AuthSettings = { licenceKeyHashes: [LICENCE], localhostBypass: false };

function doorOf({ store, clock }: Lab): {
  readonly door: Door;
  readonly failures: string[];
  readonly warned: string[];
} {
  const [failures, warned]: [string[], string[]] = [[], []];
  const log = { debug() {}, info() {}, error() {}, warn: (message: string) => void warned.push(message) };
  const onFailure = (method: string): void => void failures.push(method);
  const door = new Door({ store, clock, log, sessionTtlMs: TTL_MS, settings: SETTINGS, onFailure });
  return { door, failures, warned };
}

/** A request of this access with these headers. */
function asking(access: Access | null, headers: IncomingMessage["headers"]): Context<Guarded, Caller> {
  const route: Guarded = { method: "GET", pattern: "/", body: "none", access: access ?? PERSON };
  const match: Match<Guarded> = access === null ? { kind: "none" } : { kind: "found", route, params: {} };
  const peer = { unixSocket: false, remoteAddress: "10.0.0.1", localAddress: "10.0.0.2" };
  // The door looks at these alone.
  const req = { headers, httpVersion: "1.1", url: "/", rawHeaders: [] } as unknown as IncomingMessage;
  return new Context(req, {} as ServerResponse, "r", "/", "", match, peer);
}

function bearer(token: string): IncomingMessage["headers"] {
  return { authorization: `Bearer ${token}` };
}

test("a session in use slides on once half of its time is over, and not before", async () => {
  const lab = createLab();
  const { door } = doorOf(lab);
  const token = newToken("ses");
  const expiresAt = (): number => Date.parse(lab.state.sessions.get(sha256Hex(token))?.expires_at ?? "");
  const begin = lab.clock.wall();
  apply(lab.state, userCreated("ann", { org_id: "o_2" }), sessionCreated(token, "ann", "o_2", begin + TTL_MS));
  const caller = door.letIn(asking(PERSON, bearer(token)));
  assert.ok(caller?.kind === "person" && caller.user?.id === "ann" && caller.org.slug === "acme");
  assert.equal(expiresAt(), begin + TTL_MS);
  lab.clock.advance(TTL_MS / 2);
  door.letIn(asking(PERSON, bearer(token)));
  assert.equal(expiresAt(), begin + TTL_MS * 1.5);
  await turn();
});

test("a session that cannot be renewed lets in all the same", async () => {
  const lab = createLab();
  const { door, warned } = doorOf(lab);
  const token = newToken("ses");
  apply(lab.state, userCreated("ann", { org_id: "o_2" }), sessionCreated(token, "ann", "o_2", lab.clock.wall() + 1));
  lab.log.automatic = false;
  assert.equal(door.letIn(asking(PERSON, bearer(token)))?.kind, "person");
  lab.log.fail("no room");
  await turn();
  assert.deepEqual(warned, ["a session was not renewed"]);
  assert.equal(door.letIn(asking(PERSON, bearer(token)))?.kind, "person");
});

test("licences that a reload brings count from the next request on, and the old ones no more", async () => {
  const { door, failures } = doorOf(createLab());
  const letIn = (hash: string): unknown => door.letIn(asking({ kind: "internal" }, bearer(hash)));
  assert.equal((letIn(LICENCE) as Caller).kind, "agent");
  assert.equal(await refusal(() => letIn(OTHER)), "unauthorized");
  door.replace({ ...SETTINGS, licenceKeyHashes: [OTHER] });
  assert.equal((letIn(OTHER) as Caller).kind, "agent");
  assert.equal(await refusal(() => letIn(LICENCE)), "unauthorized");
  assert.deepEqual(failures, ["licence", "licence"]);
});

test("nobody is asked for on a public route, nor where there is none", () => {
  const { door } = doorOf(createLab());
  assert.equal(door.letIn(asking({ kind: "public" }, bearer("x"))), null);
  assert.equal(door.letIn(asking(null, bearer("x"))), null);
});

test("the org that a request names is the one that its caller acts in", async () => {
  const lab = createLab();
  const { door } = doorOf(lab);
  const token = newToken("ses");
  const end = lab.clock.wall() + TTL_MS;
  apply(lab.state, userCreated("ann", { org_id: "o_2", host_admin: true }), sessionCreated(token, "ann", "o_2", end));
  const named = door.letIn(asking(PERSON, { ...bearer(token), "x-zwrm-org": "default" }));
  assert.ok(named?.kind === "person" && named.org.id === "o_1");
  const nowhere = asking(PERSON, { ...bearer(token), "x-zwrm-org": "nowhere" });
  assert.equal(await refusal(() => door.letIn(nowhere)), "org_not_found");
});
