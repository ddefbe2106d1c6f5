/** What an org may have: what each change takes of it, and that what is less or as much is always allowed. */
import assert from "node:assert/strict";
import test from "node:test";
import type { AppId, ImageDigest, OrgId } from "../../src/lib/id-types.ts";
import { ApiError } from "../../src/lib/errors.ts";
import type { Event } from "../../src/state/events.ts";
import { limitsOf, Quota, usedBy } from "../../src/state/quota.ts";
import { imageRefKey, State } from "../../src/state/state.ts";
import { QUOTA_KIND } from "../../src/wire/quota.ts";
import type { QuotaKind, QuotaLimits } from "../../src/wire/quota.ts";
import { idOf } from "../support/ids.ts";
import { apply, deployed, workloadOf } from "../support/rows.ts";
import { linesOf } from "../support/rows.ts";

const ORG: OrgId = idOf("o_1");
const WIDE = Object.fromEntries(QUOTA_KIND.words.map((kind) => [kind, 1_000_000])) as unknown as QuotaLimits;
const DIGEST = workloadOf().image;

function app(id: string, orgId = "o_1"): Event {
  const data = { app_id: idOf<AppId>(id), org_id: idOf<OrgId>(orgId), name: id, idempotency: null };
  return { type: "app.created", data };
}

function pushed(digest: string, label: string | null, orgId = "o_1"): Event {
  const data = { digest: idOf<ImageDigest>(digest), size_bytes: 100, org_id: idOf<OrgId>(orgId), app_id: label };
  return { type: "image.added", data };
}

function scaled(id: string, replicas: number): Event {
  return { type: "deployment.scaled", data: { deployment_id: idOf(id), replicas, idempotency: null } };
}

function stateOf(...events: Event[]): State {
  const state = new State();
  apply(state, ...events);
  return state;
}

/** What is refused of the event where the org may have what it has and `more`. */
function refusal(state: State, event: Event, more: Partial<QuotaLimits> = {}): unknown {
  const used = usedBy(state, ORG);
  const limits = { ...used };
  for (const kind of QUOTA_KIND.words) limits[kind as keyof typeof limits] = used[kind] + (more[kind] ?? 0);
  try {
    new Quota(limits, () => undefined).admit(state, event);
    return null;
  } catch (error) {
    assert.ok(error instanceof ApiError && error.code === "quota_exceeded", String(error));
    return error.extra;
  }
}

const BEFORE = [
  app("web"),
  deployed("dep_1", { replicas: 2, cpus: 3, memory_mb: 100, env: { A: "12", é: "" } }),
  pushed(DIGEST, "web"),
];

test("what an org has is counted by kind, and nobody else's is", () => {
  const state = stateOf(...BEFORE, app("api"), app("other", "o_2"), pushed(DIGEST, "x", "o_2"));
  apply(state, pushed("sha256:b", null), pushed(DIGEST, "api"));
  const used = { apps: 2, replicas: 2, cpus: 6, memory_mb: 200, env_bytes: 5, images: 2, image_bytes: 200, labels: 2 };
  assert.deepEqual(usedBy(state, ORG), used);
  assert.deepEqual(usedBy(state, idOf("o_3")), Object.fromEntries(Object.keys(used).map((kind) => [kind, 0])));
});

const TAKES: readonly [what: string, event: Event, more: Partial<Record<QuotaKind, number>>][] = [
  ["a new app", app("api"), { apps: 1 }],
  [
    "a deployment, beside what it takes the place of",
    deployed("dep_2", { replicas: 3, cpus: 4, memory_mb: 150, env: { AB: "3" } }),
    { replicas: 1, cpus: 6, memory_mb: 250, env_bytes: 3 },
  ],
  ["more replicas", scaled("dep_1", 5), { replicas: 3, cpus: 9, memory_mb: 300 }],
  ["a new image", pushed("sha256:b", null), { images: 1, image_bytes: 100 }],
  ["a label of an image that is there", pushed(DIGEST, "api"), { labels: 1 }],
];

for (const [what, event, more] of TAKES) {
  test(`${what} takes ${Object.entries(more).join(", ")}, and is refused where one of these is missing`, () => {
    const state = stateOf(...BEFORE);
    assert.equal(refusal(state, event, more), null, "with exactly as much it is let in");
    for (const [kind, asked] of Object.entries(more)) {
      const found = refusal(state, event, { ...more, [kind]: asked - 1 });
      const used = usedBy(state, ORG)[kind as QuotaKind];
      assert.deepEqual(found, { quota: kind, limit: used + asked - 1, used, asked });
    }
  });
}

test("what is less, or as much, is let in however much more there is than the org may have", () => {
  const state = stateOf(...BEFORE);
  const none = Object.fromEntries(QUOTA_KIND.words.map((kind) => [kind, 0])) as unknown as QuotaLimits;
  const { admit } = new Quota(none, () => undefined);
  admit(state, scaled("dep_1", 1));
  admit(state, scaled("dep_1", 2));
  admit(state, deployed("dep_2", { replicas: 2, cpus: 3, memory_mb: 100, env: {} }));
  admit(state, pushed(DIGEST, null));
  admit(state, { type: "app.deleted", data: { app_id: idOf("web") } });
});

test("what is set for an org holds instead of the config, and what is named no more is the config's again", () => {
  const state = stateOf({ type: "org.quota_set", data: { org_id: ORG, limits: { apps: 5, labels: 1 } } });
  assert.deepEqual(limitsOf(state, WIDE, ORG), { ...WIDE, apps: 5, labels: 1 });
  assert.deepEqual(limitsOf(state, WIDE, idOf("o_2")), WIDE);
  apply(state, { type: "org.quota_set", data: { org_id: ORG, limits: { labels: 2 } } });
  assert.deepEqual(limitsOf(state, WIDE, ORG), { ...WIDE, labels: 2 });
  apply(state, { type: "org.quota_set", data: { org_id: ORG, limits: {} } });
  assert.deepEqual([limitsOf(state, WIDE, ORG), state.quotas.size], [WIDE, 0]);
});

test("the bytes of env are those of the deployments that are kept, also after a snapshot and after an undo", () => {
  const state = stateOf(...BEFORE, deployed("dep_2", { env: { B: "123" } }));
  assert.equal(usedBy(state, ORG).env_bytes, 9);
  const again = new State();
  for (const line of linesOf(state)) again.load(JSON.parse(line));
  assert.equal(usedBy(again, ORG).env_bytes, 9);
  state.undo.begin();
  state.deployments.delete(idOf("dep_1"));
  assert.equal(usedBy(state, ORG).env_bytes, 4);
  state.undo.abort();
  assert.equal(usedBy(state, ORG).env_bytes, 9);
});

test("labels stand in order whatever order they came in, once each", () => {
  const labels = ["m", "a", "z", "m", "b", "a", "zz", "M"];
  const state = stateOf(...labels.map((label) => pushed(DIGEST, label)));
  assert.deepEqual(state.imageRefs.get(imageRefKey(ORG, DIGEST))?.app_ids, [...new Set(labels)].sort());
});
