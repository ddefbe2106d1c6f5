/** Part C, Bounds: an org's quota, of the config or set for it, at the real daemon and by the real zwrm. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, run, startDaemon } from "../support/daemon.ts";
import type { RunResult } from "../support/daemon.ts";
import type { Answer } from "../support/http.ts";
import { assertError } from "../support/http.ts";
import { listAt, numberAt, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { bearer, makeKey, makeOrg, makePerson } from "./identity-world.ts";

const daemon = await startDaemon({
  config: "[quota]\napps = 3\nreplicas = 5\ncpus = 8\nmemory_mb = 4096\nenv_bytes = 100\nimages = 2\nlabels = 2",
});

const root = await daemon.request("GET", "/v1/auth/whoami");
const own = textAt(root.json, "org.id");

function zwrm(line: string): Promise<RunResult> {
  const program = fileURLToPath(new URL("../../dist/zwrm.js", import.meta.url));
  return run(process.execPath, [program, ...line.split(" ")], { HOME: daemon.folder, ZWRM_API_URL: daemon.url }, "");
}

function post(path: string, body: Json): Promise<Answer> {
  return daemon.request("POST", path, { body });
}

function push(text: string, label?: string): Promise<Answer> {
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
  const query = label === undefined ? "" : `?app_id=${label}`;
  return daemon.request("PUT", `/v1/images/${digest}${query}`, { body: Buffer.from(text) });
}

function refused(answer: Answer, quota: string, limit: number, used: number, asked: number): void {
  assert.deepEqual([answer.status, pick(answer.json, "code")], [409, "quota_exceeded"], answer.text);
  const said = ["quota", "limit", "used", "asked"].map((name) => pick(answer.json, name));
  assert.deepEqual(said, [quota, limit, used, asked]);
  for (const figure of [limit, used, asked]) assert.match(textAt(answer.json, "error"), new RegExp(`\\b${figure}\\b`));
}

async function refusals(quota: string): Promise<number> {
  const { text } = await daemon.request("GET", "/metrics");
  return Number(new RegExp(`^zwrmd_quota_refusals_total\\{quota="${quota}"\\} (\\d+)$`, "m").exec(text)?.[1]);
}

async function usedNow(): Promise<Json | undefined> {
  return pick((await daemon.request("GET", "/v1/org/quota")).json, "used");
}

test("apps, replicas, cpus, memory, env, images, labels: each refusal says limit, use and what was asked", async () => {
  const pushed = await push("one", "a");
  const image = textAt(pushed.json, "digest");
  for (const name of ["a", "b", "c"]) assert.equal((await post("/v1/apps", { name })).status, 201);
  refused(await post("/v1/apps", { name: "d" }), "apps", 3, 3, 1);

  const deploy = (app: string, more: Record<string, Json>): Promise<Answer> =>
    post(`/v1/apps/${app}/deployments`, { image, memory_mb: 64, ...more });
  assert.equal((await deploy("a", { replicas: 3, cpus: 2, env: { A: "x".repeat(40) } })).status, 202);
  refused(await deploy("b", { replicas: 3 }), "replicas", 5, 3, 3);
  refused(await deploy("b", { replicas: 1, cpus: 3 }), "cpus", 8, 6, 3);
  refused(await deploy("b", { memory_mb: 4096 }), "memory_mb", 4096, 192, 4096);
  refused(await deploy("b", { env: { BC: "x".repeat(58) } }), "env_bytes", 100, 41, 60);
  refused(await post("/v1/apps/a/scale", { replicas: 5 }), "cpus", 8, 6, 4);
  assert.equal((await deploy("a", { replicas: 4, cpus: 2 })).status, 202, "what it takes the place of is not counted");
  assert.equal((await post("/v1/apps/a/scale", { replicas: 1 })).status, 202);

  assert.equal((await push("two")).status, 201);
  refused(await push("three"), "images", 2, 2, 1);
  assert.equal((await push("one", "b")).status, 200);
  refused(await push("one", "c"), "labels", 2, 2, 1);
  assert.equal((await push("one", "b")).status, 200, "a label that is there is none more");

  const used = { apps: 3, replicas: 1, cpus: 2, memory_mb: 64, env_bytes: 41, images: 2, image_bytes: 6, labels: 2 };
  assert.deepEqual(await usedNow(), used);
  for (const kind of ["apps", "replicas", "memory_mb", "env_bytes", "images", "labels"])
    assert.equal(await refusals(kind), 1, kind);
  assert.equal(await refusals("cpus"), 2);
});

test("an image that was refused leaves no bytes behind", async () => {
  const listed = await daemon.request("GET", "/v1/images");
  assert.equal(listAt(listed.json, "images").length, 2);
  const verified = await daemon.request("POST", "/v1/images/verify");
  const kinds = listAt(verified.json, "findings").map((finding) => pick(finding, "kind"));
  assert.deepEqual(kinds, ["good", "good"], "and no stranger");
});

test("a host-admin sets one org's quota, which outlives a restart; a member sees it and sets nothing", async () => {
  const acme = await makeOrg(daemon, "acme");
  const member = await makePerson(daemon, "mia", { org: acme });
  const set = await daemon.request("PUT", "/v1/orgs/acme/quota", { body: { apps: 1 } });
  assert.deepEqual([set.status, pick(set.json, "org_id"), pick(set.json, "own")], [200, acme, ["apps"]]);
  assert.equal((await daemon.request("POST", "/v1/apps", bearer(member.session, { body: { name: "x" } }))).status, 201);
  const second = bearer(member.session, { body: { name: "y" } });
  refused(await daemon.request("POST", "/v1/apps", second), "apps", 1, 1, 1);
  const mine = await daemon.request("PUT", "/v1/orgs/acme/quota", bearer(member.session, { body: { apps: 9 } }));
  assertError(mine, 403, "host_admin_required");

  await daemon.stop();
  await daemon.start();
  refused(await daemon.request("POST", "/v1/apps", second), "apps", 1, 1, 1);
  const seen = await daemon.request("GET", "/v1/org/quota", bearer(member.session));
  assert.deepEqual([numberAt(seen.json, "limits.apps"), numberAt(seen.json, "used.apps")], [1, 1]);
  const key = await makeKey(daemon, member.session, ["apps:read"]);
  assertError(await daemon.request("GET", "/v1/org/quota", bearer(key.token)), 403, "forbidden");

  const back = await daemon.request("PUT", "/v1/orgs/acme/quota", { body: {} });
  assert.deepEqual([pick(back.json, "own"), numberAt(back.json, "limits.apps")], [[], 3]);
  assert.equal((await daemon.request("POST", "/v1/apps", second)).status, 201);
  assert.equal((await daemon.request("PUT", "/v1/orgs/nobody/quota", { body: {} })).status, 404);
});

test("SIGHUP takes the quota of the config", async () => {
  daemon.configure("[quota]\napps = 4");
  daemon.signal("SIGHUP");
  const grown = async (): Promise<true | undefined> =>
    numberAt((await daemon.request("GET", "/v1/org/quota")).json, "limits.apps") === 4 ? true : undefined;
  await eventually("the new limit", grown);
  assert.equal((await post("/v1/apps", { name: "d" })).status, 201);
});

test("zwrm quota shows what there is and what may be, and zwrm quota set raises it", async () => {
  const shown = await zwrm("quota");
  assert.match(shown.stdout, /^NAME +USED +LIMIT +SET BY\napps +4 +4 +config\n/);
  const raised = await zwrm("quota set default --apps 5 --memory-mb 9000");
  assert.match(raised.stdout, /^apps +4 +5 +zwrm quota set$/m);
  assert.match(raised.stdout, /^memory_mb +\d+ +9000 +zwrm quota set$/m);
  const events = await daemon.request("GET", "/v1/events?after=0&type=org.quota_set");
  const rows = listAt(events.json, "events").filter((row) => pick(row, "type") === "org.quota_set");
  assert.deepEqual(pick(rows.at(-1) ?? null, "data"), { org_id: own, limits: { apps: 5, memory_mb: 9000 } });
});
