/**
 * What a row of the route table does not let through, nor whoever asks for a thing by the id of another: each line
 * below is an error of the type checker, and this file does not compile once one of them is none.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { App, Services } from "../../src/api/app.ts";
import type { AgentRequest, PersonRequest, Request } from "../../src/api/request.ts";
import { admin, internal, open, scoped } from "../../src/api/route.ts";
import { decideApp, findMachine } from "../../src/fleet/workloads.ts";
import { empty, json } from "../../src/http/respond.ts";
import type { EmptyReply, JsonReply } from "../../src/http/respond.ts";
import { newId } from "../../src/lib/ids.ts";
import type { EventOf } from "../../src/state/events.ts";
import { imageRefKey, membershipKey } from "../../src/state/state.ts";
import type { State } from "../../src/state/state.ts";
import type { Host, Machine, App as StoredApp } from "../../src/state/types.ts";
import type { User } from "../../src/state/identity-types.ts";
import { STREAM } from "../../src/wire/call.ts";
import { object, optional } from "../../src/wire/compound.ts";
import { integer, oneOf, text } from "../../src/wire/schema.ts";
import { idOf } from "../support/ids.ts";

const BODY = object({ replicas: integer({ min: 0, max: 9 }), region: optional(text) });
const THING = object({ id: text });
const path = "/v1/things/{id}/parts/{part_id}";
const spec = { summary: "A thing", answers: { 200: THING } } as const;
const shown = json(200, { id: "t" });
const gone = empty(204);

const ofThing = (request: Request<"id">): JsonReply<200, { id: string }> => json(200, { id: request.params.id });
const byPerson = ({ caller }: PersonRequest): JsonReply<200, { id: string }> => json(200, { id: caller.org.id });
const byAgent = async (request: AgentRequest): Promise<EmptyReply<204>> => {
  await request.deregister(idOf("h-1"), null, null);
  return gone;
};

test("a row takes a handler that fits its path, body, query, answers and access", () => {
  const rows = [
    open("GET", path, spec, ofThing),
    admin("hosts:read")("GET", path, spec, byPerson),
    internal("POST", path, { summary: "", answers: { 204: null } }, byAgent),
    scoped("apps:write")("POST", path, { ...spec, body: BODY, query: { force: oneOf("true", "false") } }, (request) =>
      json(200, { id: `${request.body.replicas} ${request.params.part_id} ${request.query.force ?? "no"}` }),
    ),
    scoped("images:write")("PUT", path, { ...spec, body: STREAM }, async (request) => {
      for await (const piece of request.body) assert.ok(piece.length > 0);
      return shown;
    }),
  ];
  assert.deepEqual(
    rows.map(({ method, body, access }) => `${method} ${body} ${access.kind}`),
    ["GET none public", "GET none protected", "POST none internal", "POST json protected", "PUT stream protected"],
  );
});

/** Only read by the type checker. */
function mistakes(): void {
  // @ts-expect-error: the path has no such name
  open("GET", path, spec, ({ params }) => json(200, { id: params.thingg_id }));
  // @ts-expect-error: the path lacks a name that the handler needs
  open("GET", "/v1/things", spec, ofThing);
  // @ts-expect-error: a body that no schema has read is nothing
  scoped("apps:write")("POST", path, spec, ({ body }) => json(200, { id: body.id }));
  // @ts-expect-error: the body has no such field
  scoped("apps:write")("POST", path, { ...spec, body: BODY }, ({ body }) => json(200, { id: body.replica }));
  // @ts-expect-error: the body's field is a number
  scoped("apps:write")("POST", path, { ...spec, body: BODY }, ({ body }) => json(200, { id: body.replicas }));
  // @ts-expect-error: the row names no query
  open("GET", path, spec, ({ query }) => json(200, { id: query.limit }));
  // @ts-expect-error: a public route has nobody who asks
  open("GET", path, spec, byPerson);
  // @ts-expect-error: an internal route has no person
  internal("GET", path, spec, byPerson);
  // @ts-expect-error: a public request changes nothing
  open("POST", path, spec, (request) => request.change(() => ({ event: null, answer: () => shown })));
  // @ts-expect-error: an agent's handler is no person's
  admin("hosts:write")("POST", path, { summary: "", answers: { 204: null } }, byAgent);
  // @ts-expect-error: the status is not one of the row's
  open("GET", path, spec, () => json(201, { id: "t" }));
  // @ts-expect-error: the answer is not of the row's shape
  open("GET", path, spec, () => json(200, { name: "t" }));
  // @ts-expect-error: the row promises a body
  open("DELETE", path, spec, () => gone);
  // @ts-expect-error: no such scope
  scoped("apps:wride");
  // @ts-expect-error: what is beside the request does not change the state
  scoped("apps:write")("POST", path, spec, (_request, app: App) => app.store.change());
}

/** Only read by the type checker. */
function strangers(state: State, host: Host, app: StoredApp, machine: Machine, user: User): void {
  const ofMachine = ({ params }: PersonRequest<"machines/{id}">): JsonReply<200, { id: string }> =>
    json(200, { id: findMachine(state, app.org_id, params.id).id });
  scoped("apps:read")("GET", "/v1/machines/{id}", spec, ofMachine);
  // @ts-expect-error: the path names a user
  scoped("apps:read")("GET", "/v1/users/{id}", spec, ofMachine);
  // @ts-expect-error: the path names a host
  open("GET", "/v1/hosts/{host_id}", spec, ({ params }) => json(200, findMachine(state, app.org_id, params.host_id)));
  // @ts-expect-error: an app of a path is named by its id or its name
  open("GET", "/v1/apps/{id}", spec, ({ params }) => json(200, { id: String(state.apps.get(params.id)) }));
  // @ts-expect-error: a host's id is no machine's
  state.machines.get(host.id);
  // @ts-expect-error: nor is that of a machine's app
  state.machines.get(machine.app_id);
  // @ts-expect-error: machines are grouped by host first
  state.machines.group(machine.app_id);
  // @ts-expect-error: and by app second
  state.machines.group(host.id, 1);
  // @ts-expect-error: an app's name is no app's id
  state.machinesOf(app.name);
  // @ts-expect-error: nor can it become one
  decideApp(state, app.org_id, app.name, app.name, null);
  // @ts-expect-error: the org comes first
  membershipKey(user.id, app.org_id);
  // @ts-expect-error: a membership is named by an org and a user
  state.memberships.get(imageRefKey(app.org_id, machine.image));
  // @ts-expect-error: a machine is made of a deployment, and not of an app
  state.deployments.get(app.id);
  // @ts-expect-error: an image is named by its digest
  state.images.get("web:latest");
  // @ts-expect-error: two ids of different kinds are never the same
  assert.ok(host.id !== machine.id);
  // @ts-expect-error: what is made for an app names no machine
  state.machines.get(newId("app"));
  // @ts-expect-error: an event's ids are those of its things
  const placed: EventOf<"machine.placed">["data"] = { machine_id: host.id, host_id: host.id, why: "room" };
  assert.ok(placed.machine_id === machine.id && placed.host_id === host.id);
}

/** Compiles only while the first type has none of these keys. */
type Lacks<T, K extends string> = Extract<keyof T, K> extends never ? true : never;

test("what a handler is given beside its request has no way to change the state", () => {
  const lacks: readonly true[] = [
    true satisfies Lacks<Services["store"], "change">,
    true satisfies Lacks<Services["fleet"], "agentCalls" | "assignments" | "start" | "stop">,
    true satisfies Lacks<Services["fleet"]["reconciler"], "look" | "forget" | "sweep" | "lookAtAll">,
    true satisfies Lacks<Services, "agentDoor" | "logins" | "change">,
    true satisfies Lacks<App["logins"], "login">,
    true satisfies Lacks<Request, "change" | "once" | "caller" | "register">,
    true satisfies Lacks<AgentRequest, "change" | "once" | "caller">,
    true satisfies Lacks<PersonRequest, "register" | "heartbeat">,
  ];
  assert.equal(lacks.length, 8);
  assert.equal(typeof mistakes, "function");
  assert.equal(typeof strangers, "function");
});
