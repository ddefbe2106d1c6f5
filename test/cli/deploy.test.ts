/**
 * Tests of `zwrm deploy`: what is sent, what is made and pushed on the way, and how it is followed to its end. Its
 * flags' values are deploy-flags.test.ts.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import type { Answering, Seen } from "../client/support.ts";
import { ManualClock } from "../client/support.ts";
import { fakeApi, finish, Keyboard, Screen, temporaryFolder } from "./support.ts";
import type { Row, Step } from "./workloads.ts";
import { deployment, DIGEST, machine, playing, refusal, WEB } from "./workloads.ts";

const LINE = `deploy web --image ${DIGEST}`;
const ID = "d-000000000002";

async function run(t: TestContext, line: string, answer: Answering) {
  const clock = new ManualClock();
  const api = await fakeApi(t, answer);
  return { ...(await finish(api.run(line, { clock }), clock)), seen: api.seen, clock };
}

function posts(seen: readonly Seen[], path = "/v1/apps/app-000000000001/deployments"): readonly Seen[] {
  return seen.filter(({ method, url }) => method === "POST" && url === path);
}

function follow(t: TestContext, line: string, before: readonly Row[], ...steps: readonly Step[]) {
  return run(t, line, playing(before, steps));
}

test(
  "follows a deployment with a line for each change, of old machines too, and exits 0 " + "when it completed",
  async (t) => {
    const old = (state: string): Row =>
      machine("m-0", state, { deployment_id: "d-000000000001", host_id: "h-1", ready: state === "running" });
    const on = (state: string, more: Row = {}): Row => machine("m-1", state, { replaces: "m-0", ...more });
    const ready = machine("m-2", "running", { ready: true, host_id: "h-3" });
    const { code, out, err, seen, clock } = await follow(
      t,
      LINE,
      [old("running"), machine("m-9", "stopped", { deployment_id: "d-000000000001" })],
      {
        deployment: deployment("pending"),
        machines: [
          old("running"),
          machine("m-1", "pending"),
          machine("m-9", "stopped", { deployment_id: "d-000000000001" }),
        ],
      },
      {
        deployment: deployment("rolling"),
        machines: [old("running"), on("starting"), machine("m-2", "pending", { reason: "no host has 4 cpus" })],
      },
      {
        deployment: deployment("rolling"),
        machines: [old("running"), on("starting"), machine("m-2", "pending", { reason: "no host has 4 cpus" })],
      },
      {
        deployment: deployment("rolling", { running: 1 }),
        machines: [old("running"), on("running"), machine("m-2", "starting", { host_id: "h-3" })],
      },
      {
        deployment: deployment("rolling", { running: 2, ready: 2 }),
        machines: [old("stopping"), on("running", { ready: true }), ready],
      },
      {
        deployment: deployment("completed", { running: 2, ready: 2 }),
        machines: [old("stopped"), on("running", { ready: true }), ready],
      },
    );
    assert.equal(
      out,
      [
        `${ID} is to run 2 replicas of 0123456789ab`,
        "pending, 0 of 2 running, 0 ready",
        "m-1 starting on h-2 in place of m-0",
        "m-2 pending: no host has 4 cpus",
        "rolling, 0 of 2 running, 0 ready",
        "m-1 running on h-2, not ready",
        "m-2 starting on h-3",
        "rolling, 1 of 2 running, 0 ready",
        "old m-0 stopping on h-1",
        "m-1 running on h-2, ready",
        "m-2 running on h-3, ready",
        "rolling, 2 of 2 running, 2 ready",
        "old m-0 stopped on h-1",
        `${ID} completed after 5.0s, 2 of 2 ready`,
        "",
      ]
        .map((line) => (line === "" ? "" : `web: ${line}`))
        .join("\n"),
    );
    assert.deepEqual([code, err, clock.pending], [0, "", 0]);
    assert.deepEqual(
      seen.slice(0, 5).map(({ method, url }) => `${method} ${url}`),
      [
        "GET /v1/apps/web",
        "GET /v1/machines?app_id=app-000000000001",
        "POST /v1/apps/app-000000000001/deployments",
        "GET /v1/machines?app_id=app-000000000001",
        `GET /v1/apps/app-000000000001/deployments/${ID}`,
      ],
    );
  },
);

test("exits 1 with the reason where the deployment ends in another way", async (t) => {
  const ends: readonly (readonly [string, string | null, string])[] = [
    [
      "failed",
      "2 machines failed",
      `${ID} failed after 1.0s, 1 of 2 ready: 2 machines failed. "zwrm machines --app web" shows the machines`,
    ],
    [
      "rolled_back",
      "no progress for 600 s",
      `${ID} was rolled back after 1.0s: no progress for 600 s. What ran before runs on`,
    ],
    ["superseded", null, `${ID} was superseded after 1.0s by a newer deployment`],
    ["superseded", "by d-3", `${ID} was superseded after 1.0s: by d-3`],
    ["paused", null, `${ID} is paused after 1.0s`],
  ];
  for (const [state, reason, said] of ends) {
    const { code, out } = await follow(
      t,
      LINE,
      [],
      { deployment: deployment("rolling") },
      { deployment: deployment(state, { ready: 1, reason }) },
    );
    assert.deepEqual([code, out.split("\n").at(-2)], [1, `web: ${said}`]);
  }
});

test("sends what the flags say and nothing else, and leaves with --detach", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "env"), "A=file\nB=of the file\n");
  const full =
    `--replicas 3 --cpus 4 --memory 512 --env A=1,2 --env __proto__=x --env-file ${folder}/env ` +
    "--region eu --restart never --check http:8080/ok --on-host-loss wait --progress-deadline " +
    "1m30s";
  const env: unknown = JSON.parse('{"A":"1,2","B":"of the file","__proto__":"x"}');
  const bodies: readonly (readonly [string, unknown])[] = [
    ["", { image: DIGEST }],
    [
      ` ${full}`,
      {
        image: DIGEST,
        replicas: 3,
        cpus: 4,
        memory_mb: 512,
        env,
        region: "eu",
        restart: "never",
        check: { type: "http", port: 8080, path: "/ok" },
        on_host_loss: "wait",
        progress_deadline_seconds: 90,
      },
    ],
  ];
  for (const [flags, body] of bodies) {
    const { code, out, seen } = await follow(t, `${LINE} --detach${flags}`, [], { deployment: deployment("pending") });
    assert.deepEqual([code, out], [0, `web: ${ID} is to run 2 replicas of 0123456789ab: see "zwrm apps show web"\n`]);
    assert.deepEqual(JSON.parse(String(seen.at(-1)?.body)), body);
    assert.deepEqual(
      seen.map(({ method }) => method),
      ["GET", "POST"],
    );
  }
});

test("sends one deployment under one key however often the connection breaks, and another run another", async (t) => {
  const keys: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    let refused = 0;
    const other = ({ method }: Seen): readonly [number, Row] | null =>
      method === "POST" && (refused += 1) <= 2 ? refusal(503, "shutting_down", "Not now.") : null;
    const { code, out, seen } = await run(t, LINE, playing([], [{ deployment: deployment("completed") }], other));
    assert.equal(code, 0);
    assert.deepEqual(out.split("\n").slice(0, 2), [
      "web: no answer, trying again: Not now.",
      "web: the daemon answers again",
    ]);
    const sent = posts(seen);
    assert.equal(sent.length, 3);
    assert.equal(
      new Set(sent.map(({ headers, body }) => `${String(headers["idempotency-key"])} ${String(body)}`)).size,
      1,
    );
    keys.push(String(sent[0]?.headers["idempotency-key"]));
  }
  assert.match(keys[0] ?? "", /^[0-9a-f-]{36}$/);
  assert.notEqual(keys[0], keys[1]);
});

test("goes on following while the daemon restarts, and gives up after two minutes", async (t) => {
  let looks = 0;
  const passing = ({ url }: Seen): readonly [number, Row] | null =>
    url.endsWith(ID) && (looks += 1) <= 3 ? refusal(503, "shutting_down", "Not now.") : null;
  const { code, out } = await run(
    t,
    LINE,
    playing([], [{ deployment: deployment("rolling") }, { deployment: deployment("completed") }], passing),
  );
  assert.equal(code, 0);
  assert.match(out, /web: no answer, trying again: Not now\.\nweb: the daemon answers again\n/);
  const gone = ({ url }: Seen): readonly [number, Row] | null =>
    url.endsWith(ID) ? refusal(503, "shutting_down", "Not now.") : null;
  const lost = await run(t, LINE, playing([], [{ deployment: deployment("rolling") }], gone));
  assert.deepEqual(
    [lost.code, lost.err],
    [1, 'zwrm: No answer for 2m00s. The deployment itself may go on: see "zwrm apps show web".\n'],
  );
});

test("makes the app where it is missing and says so; an id that is not there makes none", async (t) => {
  let isThere = false;
  const other = ({ method, url }: Seen): readonly [number, Row] | null => {
    if (method === "POST" && url === "/v1/apps") isThere = true;
    return !isThere || url === "/v1/apps"
      ? isThere
        ? [201, WEB]
        : refusal(404, "app_not_found", "There is no such app.")
      : null;
  };
  const { code, out, seen } = await run(t, LINE, playing([], [{ deployment: deployment("completed") }], other));
  assert.deepEqual([code, out.split("\n")[0]], [0, "web: the app is made (app-000000000001)"]);
  assert.equal(String(posts(seen, "/v1/apps")[0]?.body), '{"name":"web"}');
  const none = await run(t, `deploy app_0123456789abcdef0123 --image ${DIGEST}`, () =>
    refusal(404, "app_not_found", "There is no such app."),
  );
  assert.deepEqual(
    [none.code, none.seen.length, none.err],
    [1, 1, 'zwrm: There is no app with the id app_0123456789abcdef0123. "zwrm apps" shows your apps.\n'],
  );
});

test("deploys into the app that somebody else made in between", async (t) => {
  const other = ({ method, url }: Seen): readonly [number, Row] | null => {
    if (method === "POST" && url === "/v1/apps")
      return refusal(409, "app_exists", "There is an app web.", { id: WEB.id });
    return url === "/v1/apps/web" ? refusal(404, "app_not_found", "There is no such app.") : null;
  };
  const { code, seen } = await run(t, LINE, playing([], [{ deployment: deployment("completed") }], other));
  assert.deepEqual([code, posts(seen).length], [0, 1]);
});

function fileOf(t: TestContext) {
  const path = join(temporaryFolder(t), "root.img");
  const bytes = Buffer.from("a root filesystem");
  writeFileSync(path, bytes);
  return { path, bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

test(
  "pushes a file that the org does not have, labelled with the app, before it makes " + "or deploys anything",
  async (t) => {
    for (const code of ["image_not_found", "image_missing"]) {
      const { path, bytes, digest } = fileOf(t);
      const other = ({ method, url }: Seen): readonly [number, Row] | null => {
        if (url.startsWith("/v1/images/"))
          return method === "PUT" ? [201, {}] : refusal(404, code, "There is no such image.");
        if (method === "POST" && url === "/v1/apps") return [201, WEB];
        return url === "/v1/apps/web" ? refusal(404, "app_not_found", "There is no such app.") : null;
      };
      const done = await run(
        t,
        `deploy web --image ${path}`,
        playing([], [{ deployment: deployment("completed", { image: digest }) }], other),
      );
      assert.equal(done.code, 0, done.err);
      assert.deepEqual(
        done.seen.slice(0, 4).map(({ method, url }) => `${method} ${url}`),
        ["GET /v1/apps/web", `GET /v1/images/${digest}`, `PUT /v1/images/${digest}?app_id=web`, "POST /v1/apps"],
      );
      assert.ok(done.seen[2]?.body.equals(bytes));
      assert.match(done.out, new RegExp(`^web: ${digest} pushed: 17 B in \\d\\.\\ds`));
      assert.deepEqual(JSON.parse(String(posts(done.seen)[0]?.body)), { image: digest });
    }
  },
);

test("does not push a file that the org has, and deploys nothing where it cannot be pushed or read", async (t) => {
  const { path, digest } = fileOf(t);
  const has = await run(
    t,
    `deploy web --image ${path}`,
    playing([], [{ deployment: deployment("completed") }], ({ url }) =>
      url.startsWith("/v1/images/") ? [200, { digest }] : null,
    ),
  );
  assert.deepEqual(
    [has.code, has.seen.filter(({ method }) => method === "PUT").length, has.out.split("\n")[0]],
    [0, 0, `web: ${digest} is there already`],
  );
  const full = await run(t, `deploy web --image ${path}`, ({ method, url }) =>
    url === "/v1/apps/web"
      ? [200, WEB]
      : method === "PUT"
        ? refusal(507, "storage_full", "It is full.")
        : refusal(404, "image_not_found", "None."),
  );
  assert.deepEqual([full.code, posts(full.seen).length], [1, 0]);
  const gone = await run(t, `deploy web --image ${path}.gone`, () => [200, WEB]);
  assert.deepEqual([gone.code, gone.err, gone.seen.length], [1, `zwrm: There is no file ${path}.gone.\n`, 1]);
});

test("keeps stdout to the last answer's JSON with --json, and tells the changes on stderr", async (t) => {
  const last = deployment("failed", { of_a_newer_daemon: 1 });
  const { code, out, err } = await follow(
    t,
    `${LINE} --json`,
    [],
    { deployment: deployment("rolling") },
    { deployment: last },
  );
  assert.deepEqual([code, JSON.parse(out)], [1, last]);
  assert.match(err, /^web: rolling, 0 of 2 running, 0 ready$/m);
  const detached = await follow(t, `${LINE} --json --detach`, [], { deployment: deployment("pending") });
  assert.deepEqual([detached.code, JSON.parse(detached.out)], [0, deployment("pending")]);
});

test("says at a Ctrl-C that the deployment goes on", async (t) => {
  const clock = new ManualClock();
  const stdin = new Keyboard([], { isTerminal: false });
  const play = playing([], [{ deployment: deployment("rolling") }, { deployment: deployment("completed") }]);
  const api = await fakeApi(t, (seen) => {
    if (seen.url.endsWith(ID)) stdin.interrupt();
    return play(seen);
  });
  // On a terminal it does not stand behind the ^C.
  const { err } = await finish(api.run(LINE, { clock, stdin, stderr: new Screen({ isTerminal: true }) }), clock);
  assert.equal(
    err,
    '\nweb: no longer followed; the deployment goes on: see "zwrm apps show web", and "zwrm machines --app web".\n',
  );
});

test("lets no text of the daemon's control the terminal", async (t) => {
  const { out } = await follow(
    t,
    LINE,
    [],
    { deployment: deployment("rolling"), machines: [machine("m-1", "failed", { reason: "\u001b[2Jboo" })] },
    { deployment: deployment("failed", { reason: "\u001b]0;x\u0007" }) },
  );
  assert.doesNotMatch(out, /[\u001b\u0007]/);
  assert.match(out, /^web: m-1 failed on h-2: \\x1b\[2Jboo$/m);
});

test("says in one line what many machines have come to, and again only when there is news", async (t) => {
  const waiting = (free: number): Row[] =>
    Array.from({ length: 7 }, (_, index) =>
      machine(`m-${index + 1}`, "pending", { reason: `needs 4 cpus; the largest free host h-${free} has ${free}` }),
    );
  const { out } = await follow(
    t,
    LINE,
    [],
    { deployment: deployment("rolling"), machines: waiting(2) },
    { deployment: deployment("rolling"), machines: waiting(3) },
    {
      deployment: deployment("failed"),
      machines: [
        ...waiting(3).slice(0, 4),
        ...waiting(0)
          .slice(4)
          .map((one) => ({ ...one, reason: "no host is online" })),
      ],
    },
  );
  const lines = [
    "m-1, m-2, m-3 and 4 more pending: needs 4 cpus; the largest free host h-2 has 2",
    "rolling, 0 of 2 running, 0 ready",
    "m-5 pending: no host is online",
    "m-6 pending: no host is online",
    "m-7 pending: no host is online",
  ];
  assert.deepEqual(
    out.split("\n").slice(1, -2),
    lines.map((line) => `web: ${line}`),
  );
});

test("scales, and follows until as many are ready and the daemon says that it is done", async (t) => {
  const up = (id: string, state: string): Row => machine(id, state, { ready: state === "running" });
  const current = (running: number, ready: number): Row => deployment("rolling", { replicas: 2, running, ready });
  const { code, out, seen } = await follow(
    t,
    "scale web 2",
    [up("m-1", "running")],
    { deployment: current(1, 1), machines: [up("m-1", "running"), up("m-2", "pending")] },
    { deployment: current(1, 1), machines: [up("m-1", "running"), up("m-2", "starting")] },
    { deployment: current(2, 2), machines: [up("m-1", "running"), up("m-2", "running")] },
    { deployment: { ...current(2, 2), state: "completed" }, machines: [up("m-1", "running"), up("m-2", "running")] },
  );
  const progress = [
    "rolling, 1 of 2 running, 1 ready",
    "m-2 starting on h-2",
    "m-2 running on h-2, ready",
    "rolling, 2 of 2 running, 2 ready",
  ];
  const lines = [`${ID} is to have 2 replicas`, ...progress, "scaled after 3.0s, 2 of 2 ready"];
  assert.deepEqual([code, out], [0, lines.map((line) => `web: ${line}\n`).join("")]);
  const sent = posts(seen, "/v1/apps/app-000000000001/scale")[0];
  assert.equal(String(sent?.body), '{"replicas":2}');
  assert.match(String(sent?.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
});

test("says scaled only when what was too much has stopped, and what still stops meanwhile", async (t) => {
  const keeps = machine("m-1", "running", { ready: true });
  const goes = (state: string): Row =>
    machine("m-2", state, { desired_state: "stopped", removing: true, reason: "scaled to 1" });
  const current = (state: string): Row => deployment(state, { replicas: 1, running: 1, ready: 1 });
  const { code, out } = await follow(
    t,
    "scale web 1",
    [keeps, machine("m-2", "running", { ready: true })],
    { deployment: current("rolling"), machines: [keeps, goes("running")] },
    { deployment: current("rolling"), machines: [keeps, goes("stopping")] },
    // A daemon that says so too early is not believed while a machine is seen to stop.
    { deployment: current("completed"), machines: [keeps, goes("stopping")] },
    { deployment: current("completed"), machines: [keeps, goes("stopped")] },
  );
  assert.equal(code, 0);
  assert.deepEqual(out.split("\n").slice(1, -1), [
    "web: m-2 running on h-2, not ready: scaled to 1",
    "web: rolling, 1 of 1 running, 1 ready, 1 still to stop",
    "web: m-2 stopping on h-2: scaled to 1",
    "web: completed, 1 of 1 running, 1 ready, 1 still to stop",
    "web: m-2 stopped on h-2: scaled to 1",
    "web: scaled after 3.0s, 1 of 1 ready",
  ]);
});

test("does not say scaled of a deployment that had completed before, while a replica of it is lost", async (t) => {
  const here = machine("m-1", "running", { ready: true });
  const step = (...machines: Row[]): Step => ({
    deployment: deployment("completed", { running: machines.length - 1, ready: 1 }),
    machines: [...machines],
  });
  const { code, out } = await follow(
    t,
    "scale web 2",
    [],
    step(here, machine("m-2", "unknown")),
    step(here, machine("m-3", "running", { ready: true })),
  );
  assert.deepEqual([code, out.split("\n").at(-2)], [0, "web: scaled after 1.0s, 1 of 2 ready"]);
});

test("scales down to none, at once where there is nothing to do, and leaves with --detach", async (t) => {
  const none = (ready: number): Step => ({
    deployment: deployment(ready === 0 ? "completed" : "rolling", { replicas: 0, running: ready, ready }),
  });
  const down = await follow(t, "scale web 0", [], none(2), none(1), none(0));
  assert.deepEqual([down.code, down.out.split("\n").at(-2)], [0, "web: scaled after 2.0s, 0 of 0 ready"]);
  const same = await follow(t, "scale web 0", [], none(0));
  assert.deepEqual([same.code, same.clock.now], [0, 0]);
  const left = await follow(t, "scale web 1 --detach", [], { deployment: deployment("completed", { replicas: 1 }) });
  assert.deepEqual([left.code, left.out], [0, `web: ${ID} is to have 1 replica: see "zwrm apps show web"\n`]);
});

test(
  "a scaling is done when the daemon says so, also where one was stopped or has done its work, and will " +
    "never be ready",
  async (t) => {
    const machines = [
      machine("m-1", "running", { ready: true }),
      machine("m-2", "stopped", { exit_code: 0 }),
      machine("m-3", "stopped", { desired_state: "stopped" }),
    ];
    const step = (state: string): Step => ({
      deployment: deployment(state, { replicas: 3, running: 1, ready: 1 }),
      machines,
    });
    const { code, out } = await follow(t, "scale web 3", [], step("rolling"), step("completed"));
    assert.deepEqual([code, out.split("\n").at(-2)], [0, "web: scaled after 1.0s, 1 of 3 ready"]);
  },
);

test(
  "ends a scaling with 1 where another came between, where it went wrong, and where nothing moves for " +
    "the progress deadline",
  async (t) => {
    const going = (state: string, more: Row = {}): Step => ({
      deployment: deployment(state, { running: 1, ready: 1, ...more }),
    });
    const other = await follow(t, "scale web 2", [], going("rolling"), going("rolling", { replicas: 5 }));
    assert.deepEqual(
      [other.code, other.out.split("\n").at(-2)],
      [1, `web: ${ID} was scaled to 5 by somebody else after 1.0s`],
    );
    const replaced = await follow(t, "scale web 2", [], going("rolling"), going("superseded", { reason: "by d-3" }));
    assert.deepEqual(
      [replaced.code, replaced.out.split("\n").at(-2)],
      [1, `web: ${ID} is superseded after 1.0s, 1 of 2 ready: by d-3`],
    );
    const terms = { progress_deadline_seconds: 10 };
    const steps = Array.from({ length: 40 }, (_, index) => going("failed", index < 5 ? { ...terms, ready: 0 } : terms));
    const still = await follow(t, "scale web 2", [], ...steps);
    assert.deepEqual(
      [still.code, still.out.split("\n").at(-2), still.clock.now],
      [1, "web: no progress for 10s, 1 of 2 ready; the rest is still wanted", 15_000],
    );
  },
);
