/** Orgs, people and everything they can hold, in a real daemon: good tokens, and those that are expired or revoked. */
import { createHash, randomBytes } from "node:crypto";
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { startDaemon } from "../support/daemon.ts";
import type { DaemonOptions, Owner, TestDaemon } from "../support/daemon.ts";
import { Answer, request } from "../support/http.ts";
import type { RequestOptions } from "../support/http.ts";
import { appendLine } from "../support/journal.ts";
import { pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";

export const ALL_SCOPES = [
  "hosts:read",
  "hosts:write",
  "images:read",
  "images:write",
  "apps:read",
  "apps:write",
  "status:read",
  "admin",
];

export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function randomToken(kind: "ses" | "key"): string {
  return `zwrm_${kind}_${randomBytes(32).toString("base64url")}`;
}

/** This machine's address on a network, or null: a connection to it is not a local one to the daemon. */
export function ownAddress(): string | null {
  return (
    Object.values(networkInterfaces())
      .flat()
      .find((each) => each !== undefined && !each.internal && each.family === "IPv4")?.address ?? null
  );
}

/** A request over the loopback, also where the daemon listens on every address. */
export function ask(daemon: TestDaemon, method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  return request({ port: daemon.port, host: "127.0.0.1" }, method, path, options);
}

export interface Person {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  /** Of the org that the person was made for. */
  readonly session: string;
}

/** A bearer's options. */
export function bearer(token: string, more: RequestOptions = {}): RequestOptions {
  return { ...more, headers: { ...more.headers, authorization: `Bearer ${token}` } };
}

export function expect(answer: Answer, status: number): Json {
  assert.equal(answer.status, status, answer.text);
  return answer.body.length === 0 ? null : answer.json;
}

export async function makeOrg(daemon: TestDaemon, slug: string): Promise<string> {
  return textAt(expect(await ask(daemon, "POST", "/v1/orgs", { body: { slug } }), 201), "id");
}

export async function login(daemon: TestDaemon, email: string, password: string, org?: string): Promise<string> {
  const answer = await ask(daemon, "POST", "/v1/auth/login", {
    body: { email, password, ...(org === undefined ? {} : { org }) },
  });
  return textAt(expect(answer, 200), "token");
}

/** A user who is logged in; with `org` in that org, as `role`. */
export async function makePerson(
  daemon: TestDaemon,
  name: string,
  more: { readonly hostAdmin?: boolean; readonly org?: string; readonly role?: "owner" | "member" } = {},
): Promise<Person> {
  const email = `${name}@example.com`;
  const password = `${name} has a long password`;
  const body = {
    email,
    name,
    password,
    host_admin: more.hostAdmin ?? false,
    ...(more.org === undefined ? {} : { org: more.org }),
  };
  const id = textAt(expect(await ask(daemon, "POST", "/v1/users", { body }), 201), "id");
  if (more.org !== undefined && more.role === "owner")
    expect(await ask(daemon, "PUT", `/v1/orgs/${more.org}/members/${id}`, { body: { role: "owner" } }), 200);
  return { id, email, password, session: await login(daemon, email, password, more.org) };
}

export interface Key {
  readonly id: string;
  readonly token: string;
}

/** Without scopes: all that the session's user may. */
export async function makeKey(daemon: TestDaemon, session: string, scopes?: readonly string[]): Promise<Key> {
  const body = { name: `may: ${scopes?.join(" ") ?? "all"}`, ...(scopes === undefined ? {} : { scopes: [...scopes] }) };
  const made = expect(await ask(daemon, "POST", "/v1/auth/tokens", bearer(session, { body })), 201);
  return { id: textAt(made, "id"), token: textAt(made, "token") };
}

export interface World {
  readonly daemon: TestDaemon;
  /** Org ids. */
  readonly acme: string;
  readonly rival: string;
  /** An image that acme has. */
  readonly digest: string;
  readonly admin: Person;
  readonly owner: Person;
  readonly member: Person;
  /** Of the org `rival`. */
  readonly stranger: Person;
  readonly expiredSession: string;
  readonly revokedSession: string;
  readonly expiredKey: string;
  readonly revokedKey: Key;
}

/** A journal line as the daemon would have written it, of a daemon that is stopped. */
export function appendSession(dataDir: string, userId: string, orgId: string, token: string, expiresAt: string): void {
  const session = {
    id: `ses_${randomBytes(4).toString("hex")}`,
    token_hash: hashOf(token),
    user_id: userId,
    org_id: orgId,
    expires_at: expiresAt,
  };
  appendLine(dataDir, "session.created", { session, expired: [] });
}

export function appendKey(
  dataDir: string,
  userId: string,
  orgId: string,
  token: string,
  expiresAt: string | null,
): void {
  const key = {
    id: `key_${randomBytes(4).toString("hex")}`,
    token_hash: hashOf(token),
    name: "appended",
    user_id: userId,
    org_id: orgId,
    scopes: null,
    expires_at: expiresAt,
  };
  appendLine(dataDir, "api_key.created", { key });
}

export async function makeWorld(options: DaemonOptions = {}, owner?: Owner): Promise<World> {
  const daemon = await startDaemon(options, owner);
  const [acme, rival] = [await makeOrg(daemon, "acme"), await makeOrg(daemon, "rival")];
  const admin = await makePerson(daemon, "root", { hostAdmin: true });
  const ann = await makePerson(daemon, "ann", { org: acme, role: "owner" });
  const bob = await makePerson(daemon, "bob", { org: acme });
  const eve = await makePerson(daemon, "eve", { org: rival });
  const bytes = Buffer.from("the bytes of an image");
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  expect(await ask(daemon, "PUT", `/v1/images/${digest}`, bearer(bob.session, { body: bytes })), 201);
  const revokedSession = await login(daemon, admin.email, admin.password);
  expect(await ask(daemon, "POST", "/v1/auth/logout", bearer(revokedSession)), 204);
  const revokedKey = await makeKey(daemon, admin.session);
  expect(await ask(daemon, "DELETE", `/v1/auth/tokens/${revokedKey.id}`, bearer(admin.session)), 204);
  const [expiredSession, expiredKey] = [randomToken("ses"), randomToken("key")];
  await daemon.stop();
  const past = new Date(Date.now() - 1_000).toISOString();
  appendSession(daemon.dataDir, admin.id, acme, expiredSession, past);
  appendKey(daemon.dataDir, admin.id, acme, expiredKey, past);
  await daemon.start();
  return {
    daemon,
    acme,
    rival,
    digest,
    admin,
    owner: ann,
    member: bob,
    stranger: eve,
    expiredSession,
    revokedSession,
    expiredKey,
    revokedKey,
  };
}

/** `200`, or `404 host_not_found`: what an answer comes to in a table. */
export function inWords(answer: Answer): string {
  const code = answer.status >= 400 && answer.body.length > 0 ? pick(answer.json, "code") : undefined;
  return typeof code === "string" ? `${answer.status} ${code}` : String(answer.status);
}
