/** Tests of `zwrm host drain`: what is sent, and how it is followed to its end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Answering } from "../client/support.ts";
import { ManualClock } from "../client/support.ts";
import { fakeApi, finish, host, Keyboard } from "./support.ts";

type Row = Record<string, unknown>;

function row(id: string, state: string, more: Row = {}): Row {
  return {
    id,
    app_id: "app_1",
    app_name: "web",
    state,
    replacement_id: null,
    target_host_id: null,
    reason: null,
    ...more,
  };
}

function drain(state: string, machines: Row[], more: Row = {}): Row {
  const migrated = machines.filter((one) => one["state"] === "migrated").length;
  const failed = machines.filter((one) => one["state"] === "failed").length;
  const times = { started_at: "2026-03-01T11:59:00.000Z", finished_at: null, deadline_at: null };
  return {
    host_id: "h-1",
    state,
    ...times,
    total: machines.length,
    migrated,
    remaining: machines.length - migrated - failed,
    failed,
    machines,
    reason: null,
    ...more,
  };
}

/** Answers the POST with the first status and every GET with the next one; a number is answered as that HTTP status. */
function script(...steps: (Row | number)[]): Answering {
  const left = [...steps];
  return ({ method }) => {
    const step = left.shift();
    if (typeof step === "number")
      return [step, { error: "Not now.", code: step === 503 ? "shutting_down" : "host_not_found", request_id: "r" }];
    return [method === "POST" ? 202 : 200, step ?? { error: "asked too often" }];
  };
}

async function follow(t: TestContext, line: string, ...steps: (Row | number)[]) {
  const clock = new ManualClock();
  const api = await fakeApi(t, script(...steps));
  const run = await finish(api.run(line, { clock }), clock);
  return { run, api, clock };
}

test("sends what the flags say and nothing else", async (t) => {
  const api = await fakeApi(t, () => [202, drain("draining", [])]);
  const bodies: readonly (readonly [string, unknown])[] = [
    ["", {}],
    [
      " --max-parallel 5 --deadline 1m30s --reason fan --force",
      { max_parallel: 5, deadline_seconds: 90, reason: "fan", force: true },
    ],
    [" --dry-run", { dry_run: true }],
  ];
  for (const [flags, body] of bodies) {
    await api.run(`host drain h-1 --detach${flags}`);
    assert.deepEqual(JSON.parse(String(api.seen.at(-1)?.body)), body);
    assert.equal(api.seen.at(-1)?.url, "/v1/hosts/h-1/drain");
  }
  assert.equal(api.seen.length, 3, "none is followed");
});

test("starts and leaves with --detach", async (t) => {
  const api = await fakeApi(t, script(drain("draining", [row("m-1", "pending")])));
  assert.deepEqual(await api.run("host drain h-1 --detach"), {
    code: 0,
    out: 'h-1 is draining: 1 machine. See "zwrm host drain-status h-1".\n',
    err: "",
  });
});

test("shows the plan with --dry-run", async (t) => {
  const api = await fakeApi(t, () => [
    200,
    {
      ...drain("draining", [
        row("m-1", "pending", { target_host_id: "h-2" }),
        row("m-3", "pending", { target_host_id: "h-3" }),
        row("m-2", "blocked", { reason: "needs 4 cpus; the largest free host h-7 has 2" }),
      ]),
      dry_run: true,
    },
  ]);
  const run = await api.run("host drain h-1 --dry-run");
  assert.equal(
    run.out,
    [
      "A drain of h-1 would move 3 machines, of which 1 has nowhere to go now. Nothing was changed.",
      "MACHINE  APP  STATE    TO HOST  REASON",
      "m-1      web  pending  h-2",
      "m-3      web  pending  h-3",
      "m-2      web  blocked  -        needs 4 cpus; the largest free host h-7 has 2",
      "",
    ].join("\n"),
  );
});

test("follows a drain with a line for each change and exits 0 when it completed", async (t) => {
  const { run, api, clock } = await follow(
    t,
    "host drain h-1",
    drain("draining", [row("m-1", "pending"), row("m-2", "pending")]),
    drain("draining", [
      row("m-1", "starting", { target_host_id: "h-2", replacement_id: "m-3" }),
      row("m-2", "pending"),
    ]),
    drain("draining", [
      row("m-1", "starting", { target_host_id: "h-2", replacement_id: "m-3" }),
      row("m-2", "pending"),
    ]),
    drain("draining", [
      row("m-1", "stopping", { target_host_id: "h-2", replacement_id: "m-3" }),
      row("m-2", "pending"),
    ]),
    drain("draining", [
      row("m-1", "migrated", { target_host_id: "h-2", replacement_id: "m-3" }),
      row("m-2", "blocked", { reason: "no host is free" }),
    ]),
    drain("draining", [
      row("m-1", "migrated", { target_host_id: "h-2", replacement_id: "m-3" }),
      row("m-2", "stopping"),
    ]),
    drain("completed", [
      row("m-1", "migrated", { target_host_id: "h-2", replacement_id: "m-3" }),
      row("m-2", "migrated"),
    ]),
  );
  assert.deepEqual(run, {
    code: 0,
    out: [
      "h-1: draining, 0 of 2 migrated",
      "h-1: m-1 starting on h-2 as m-3",
      "h-1: m-1 stopping, m-3 runs on h-2",
      "h-1: m-1 migrated to h-2 as m-3",
      "h-1: m-2 blocked: no host is free",
      "h-1: 1 of 2 migrated",
      "h-1: m-2 stopping",
      "h-1: m-2 migrated",
      "h-1: 2 of 2 migrated",
      'h-1: completed after 6.0s; the host is in maintenance. "zwrm host activate h-1" brings it back',
      "",
    ].join("\n"),
    err: "",
  });
  assert.deepEqual(
    api.seen.slice(1).map(({ method, url }) => `${method} ${url}`),
    Array.from({ length: 6 }, () => "GET /v1/hosts/h-1/drain-status"),
  );
  assert.equal(clock.pending, 0);
});

test(
  "says in one line what many machines wait for, and nothing where only a time or a " + "number has changed",
  async (t) => {
    const waiting = (state: string, reason: string) =>
      Array.from({ length: 6 }, (_, index) => row(`m-${index + 1}`, state, { reason }));
    const again = (second: number): string =>
      `every host that fits was tried; again at 2026-03-01T12:00:30.000Z, it is 2026-03-01T12:00:0${second}.000Z`;
    const { run } = await follow(
      t,
      "host drain h-1",
      drain("draining", waiting("pending", "2 of at most 2 are being moved")),
      drain("draining", waiting("pending", "1 of at most 2 are being moved")),
      drain("draining", waiting("blocked", again(1))),
      drain("draining", waiting("blocked", again(2))),
      drain("draining", waiting("blocked", "host offline since 2026-03-01T12:00:02.000Z")),
      drain("cancelled", waiting("blocked", "host offline since 2026-03-01T12:00:02.000Z")),
    );
    const lines = [
      "draining, 0 of 6 migrated",
      `m-1, m-2, m-3 and 3 more blocked: ${again(1)}`,
      "m-1, m-2, m-3 and 3 more blocked: host offline since 2026-03-01T12:00:02.000Z",
      "cancelled after 5.0s with 0 of 6 migrated; what has moved stays moved",
      "",
    ];
    assert.deepEqual(
      run.out.split("\n"),
      lines.map((line) => (line === "" ? "" : `h-1: ${line}`)),
    );
  },
);

test("ends at once where the drain is over with the first answer", async (t) => {
  const { run, api } = await follow(t, "host drain h-1", drain("completed", []));
  assert.deepEqual([run.code, api.seen.length], [0, 1]);
  assert.match(run.out, /^h-1: completed, no machines to move\n/);
});

test("exits 1 when the drain failed, and says what is left and what can be done", async (t) => {
  const { run } = await follow(
    t,
    "host drain h-1 --deadline 10m",
    drain("draining", [row("m-1", "pending")]),
    drain("failed", [row("m-1", "blocked", { reason: "full" })], { deadline_at: "2026-03-01T12:10:00.000Z" }),
  );
  assert.equal(run.code, 1);
  const [, ...lines] = run.out.split("\n");
  const hint = '"zwrm host drain-status h-1" shows why; drain it again, or "zwrm host undrain h-1"';
  assert.deepEqual(lines, [
    "h-1: m-1 blocked: full",
    "h-1: failed after 1.0s (the deadline 2026-03-01T12:10:00.000Z passed) with 1 remaining; the host stays " +
      `draining. ${hint}`,
    "",
  ]);
});

test("exits 1 when somebody cancelled the drain", async (t) => {
  const { run } = await follow(t, "host drain h-1", drain("draining", []), drain("cancelled", []));
  assert.equal(run.code, 1);
  assert.match(run.out, /h-1: cancelled after 1\.0s with 0 of 0 migrated; what has moved stays moved\n$/);
});

test("goes on following while the daemon restarts", async (t) => {
  const { run } = await follow(
    t,
    "host drain h-1",
    drain("draining", []),
    503,
    503,
    503,
    drain("draining", []),
    drain("completed", []),
  );
  assert.equal(run.code, 0);
  assert.deepEqual(run.out.split("\n").slice(1, 3), [
    "h-1: no answer, trying again: Not now.",
    "h-1: the daemon answers again",
  ]);
});

test("gives up following after two minutes without an answer, and says that the drain may go on", async (t) => {
  const { run, clock } = await follow(
    t,
    "host drain h-1",
    drain("draining", []),
    ...Array.from({ length: 200 }, () => 503),
  );
  assert.deepEqual(
    [run.code, run.err],
    [1, 'zwrm: No answer for 2m00s. The drain itself may go on: see "zwrm host drain-status h-1".\n'],
  );
  assert.equal(clock.now, 121_000);
});

test("stops following where the host is gone", async (t) => {
  const { run } = await follow(t, "host drain h-1", drain("draining", []), 404);
  assert.deepEqual([run.code, run.err], [1, 'zwrm: Not now. "zwrm host list" shows the ids.\n']);
});

test(
  "says at a Ctrl-C, and only while it follows, that the drain goes on and how to " + "follow or cancel it",
  async (t) => {
    const clock = new ManualClock();
    const stdin = new Keyboard([], { isTerminal: false });
    let listening = 0;
    const api = await fakeApi(t, ({ method }) => {
      if (method === "POST") assert.equal(stdin.interrupt(), 0, "a drain that may not have begun");
      else listening = stdin.interrupt();
      return [200, drain(method === "POST" ? "draining" : "completed", [])];
    });
    const run = await finish(api.run("host drain h-1", { clock, stdin }), clock);
    assert.deepEqual([run.code, listening, stdin.interrupt()], [0, 1, 0]);
    const how =
      'see "zwrm host drain-status h-1", follow it again with "zwrm host drain h-1", or cancel it with "zwrm ' +
      'host undrain h-1".';
    assert.equal(run.err, `h-1: no longer followed; the drain goes on: ${how}\n`);
  },
);

test("asks a daemon that is slow to answer less often", async (t) => {
  const clock = new ManualClock();
  const asked: number[] = [];
  const api = await fakeApi(t, ({ method }) => {
    asked.push(clock.now);
    clock.now += 1_000;
    return [200, drain(method === "POST" || asked.length < 4 ? "draining" : "completed", [])];
  });
  await finish(api.run("host drain h-1", { clock }), clock);
  assert.deepEqual(asked, [0, 2_000, 7_000, 12_000]);
});

test("keeps stdout to the last answer's JSON with --json, and tells the changes on stderr", async (t) => {
  const last = drain("completed", [row("m-1", "migrated")], { of_a_newer_daemon: 1 });
  const { run } = await follow(t, "--json host drain h-1", drain("draining", [row("m-1", "pending")]), last);
  assert.deepEqual(JSON.parse(run.out), last);
  assert.match(run.err, /^h-1: m-1 migrated$/m);
});

test("refuses a drain that the API refuses", async (t) => {
  const api = await fakeApi(t, () => [
    409,
    { error: "h-1 is in maintenance.", code: "host_in_maintenance", request_id: "r" },
  ]);
  assert.deepEqual(await api.run("host drain h-1"), {
    code: 1,
    out: "",
    err: 'zwrm: h-1 is in maintenance. "zwrm host activate ID" brings it back first.\n',
  });
});

test("shows how far a drain is", async (t) => {
  const machines = [
    row("m-1", "migrated", { replacement_id: "m-3", target_host_id: "h-2" }),
    row("m-2", "failed", { reason: "three hosts refused it" }),
  ];
  const api = await fakeApi(t, () => [
    200,
    drain("failed", machines, {
      reason: "fan",
      finished_at: "2026-03-01T11:59:50.000Z",
      deadline_at: "2026-03-01T12:10:00.000Z",
    }),
  ]);
  assert.equal(
    (await api.run("host drain-status h-1")).out,
    [
      "host      h-1",
      "state     failed",
      "reason    fan",
      "started   1m ago",
      "finished  10s ago",
      "deadline  2026-03-01T12:10:00.000Z",
      "machines  1 of 2 migrated, 0 remaining, 1 failed",
      "",
      "MACHINE  APP  STATE     TO HOST  REPLACEMENT  REASON",
      "m-1      web  migrated  h-2      m-3",
      "m-2      web  failed    -        -            three hosts refused it",
      "",
    ].join("\n"),
  );
  const bare = await fakeApi(t, () => [200, { ...host("h-1"), ...drain("draining", []) }]);
  assert.equal(
    (await bare.run("host drain-status h-1")).out,
    "host      h-1\nstate     draining\nstarted   1m ago\nmachines  0 of 0 migrated, 0 remaining, 0 failed\n",
  );
});
