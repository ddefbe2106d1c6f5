/**
 * Health that lasts: whatever a new image does, no fewer machines serve than an operator allowed, and `completed` is
 * said of a stay.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { isHealthy } from "../../src/fleet/plan/health.ts";
import type { Machine } from "../../src/state/types.ts";
import { idOf } from "../support/ids.ts";
import { random } from "../support/random.ts";
import type { Fate } from "./stage.ts";
import { APP, Stage } from "./stage.ts";

const CHECK = { type: "tcp", port: 1 };
const MIN_HEALTHY = 10;
const DEADLINE = 60;
const TERMS = { min_healthy_seconds: MIN_HEALTHY, progress_deadline_seconds: DEADLINE };

/** An app of so many replicas on hosts with room, completed. */
function serving(replicas: number, hosts = 5): Stage {
  const names = Array.from({ length: hosts }, (_, index) => `h-${index + 1}`);
  const stage = new Stage()
    .hosts(...names)
    .deploy("dep_1", replicas, TERMS)
    .settle()
    .ticks(MIN_HEALTHY + 3);
  assert.equal(stage.deployment("dep_1").state, "completed");
  return stage;
}

/** What machines of the new image do, told by how long each has been there. */
function behaves(
  stage: Stage,
  fate: (seconds: number, machine: Machine) => Fate,
  isNew = (machine: Machine): boolean => machine.deployment_id === "dep_2",
): void {
  const born = new Map<string, number>();
  stage.fate = (machine) => {
    if (!isNew(machine)) return "runs";
    const since = born.get(machine.id) ?? stage.now;
    born.set(machine.id, since);
    return fate((stage.now - since) / 1000, machine);
  };
}

/** So many seconds up, then down for one, again and again: what its agent restarts in place. */
function crashesAfter(seconds: number): (age: number) => Fate {
  return (age) => (age % (seconds + 1) < seconds ? "runs" : "restarts");
}

/** Ticks until the newest deployment is over; at every one of them at least so many serve. */
function rollsBackServing(stage: Stage, least: number, id = "dep_2"): void {
  for (let tick = 0; tick < 4 * DEADLINE && ["pending", "rolling"].includes(stage.deployment(id).state); tick++) {
    stage.tick();
    assert.ok(
      stage.ready().length >= least,
      `${stage.ready().length} of ${least} serve after ${tick} s: ${stage.members().join(", ")}`,
    );
  }
  assert.equal(stage.deployment(id).state, "rolled_back", stage.members().join(", "));
  stage.ticks(30);
  assert.equal(stage.ready().length, least);
  assert.ok(stage.ready().every((machine) => stage.machine(machine).deployment_id === "dep_1"));
}

const MISBEHAVIOUR: Readonly<Record<string, (age: number) => Fate>> = {
  "crashes at once": () => "restarts",
  "is given up by its agent": () => "fails",
  "crashes after 1 s": crashesAfter(1),
  "crashes after 3 s": crashesAfter(3),
  "crashes after 8 s": crashesAfter(8),
  "ends with code 0 at once": () => "ends",
  "ends with code 0 after 5 s": (age) => (age < 5 ? "runs" : "ends"),
  "never gets ready": () => "unready",
  "loses its readiness after 5 s": (age) => (age < 5 ? "runs" : "unready"),
  "hangs in its start": () => "hangs",
};

for (const [what, fate] of Object.entries(MISBEHAVIOUR)) {
  for (const check of [null, CHECK]) {
    test(
      "eight serve all the time while an image comes that " +
        `${what}${check === null ? "" : " (with a check)"}, and it is rolled back`,
      () => {
        const stage = serving(8);
        behaves(stage, fate);
        rollsBackServing(stage.deploy("dep_2", 8, { ...TERMS, check }), 8);
      },
    );
  }
}

test(
  "an image that lives longer than is asked for stops its own roll-out: nobody who serves goes while " +
    "fewer than the replicas are healthy",
  () => {
    const stage = serving(8);
    behaves(stage, crashesAfter(15));
    stage.deploy("dep_2", 8, TERMS);
    let fewest = 8;
    for (let tick = 0; tick < 300; tick++) fewest = Math.min(fewest, stage.tick().ready().length);
    // Two at a time were let go for two that were well for ten seconds; no third one was.
    assert.ok(fewest >= 6, `${fewest} served`);
    assert.equal(stage.deployment("dep_2").state, "rolled_back");
    assert.equal(stage.ready().length, 8);
  },
);

test("a drain to a host where the image misbehaves keeps everyone who serves, and says what it waits for", () => {
  for (const fate of [crashesAfter(1), () => "ends" as const, () => "unready" as const, () => "fails" as const]) {
    const stage = new Stage()
      .hosts("h-1")
      .deploy("dep_1", 4, TERMS)
      .settle()
      .ticks(MIN_HEALTHY + 3)
      .hosts("h-2");
    behaves(stage, fate, ({ host_id: host }) => host === "h-2");
    stage.drain("h-1");
    for (let tick = 0; tick < 300; tick++)
      assert.ok(
        stage
          .tick()
          .ready()
          .filter((id) => stage.machine(id).host_id === "h-1").length === 4,
      );
    assert.equal(stage.drainState("h-1"), "draining");
    assert.ok(
      stage.rows("h-1").every(({ reason, replacement_id: id }) => reason !== null || id !== null),
      JSON.stringify(stage.rows("h-1")),
    );
  }
});

test(
  "where the deployment has completed, a fifth of the time is enough in a drain; one that was asked for " +
    "counts from its last break",
  () => {
    const stage = new Stage()
      .hosts("h-1")
      .deploy("dep_1", 1, TERMS)
      .settle()
      .ticks(MIN_HEALTHY + 3)
      .hosts("h-2");
    stage.drain("h-1").ticks(3);
    const [original, replacement] = ["m-001", "m-002"].map((id) => stage.machine(id));
    assert.deepEqual([replacement?.state, original?.removing], ["running", false]);
    assert.deepEqual(
      stage.rows("h-1").map(({ reason }) => reason),
      ["it is ready, and has to stay so for 2 s"],
    );
    assert.deepEqual([stage.tick().machine("m-001").removing, stage.tick().machine("m-001").removing], [false, true]);
  },
);

test("completed is said of a stay: not while a machine is up for less than that", () => {
  const stage = new Stage().hosts("h-1").deploy("dep_1", 1, TERMS).settle().ticks(2);
  assert.deepEqual([stage.ready().length, stage.deployment("dep_1").state], [1, "rolling"]);
  assert.equal(stage.ticks(MIN_HEALTHY - 1).deployment("dep_1").state, "rolling");
  assert.equal(stage.ticks(1).deployment("dep_1").state, "completed");
});

test("a machine that was down in between begins anew, also where the reports before and after look alike", () => {
  const stage = new Stage()
    .hosts("h-1")
    .deploy("dep_1", 1, TERMS)
    .settle()
    .ticks(MIN_HEALTHY - 2);
  const report = {
    id: "m-001",
    state: "running",
    ready: true,
    reason: null,
    exit_code: null,
    started_at: "2026-01-02T03:04:59.000Z",
  } as const;
  stage.do({ type: "host.heard", data: { host_id: "h-1", key_hash: null, machines: [report] } }).ticks(MIN_HEALTHY - 1);
  assert.equal(isHealthy(stage.machine("m-001")), false);
  assert.equal(isHealthy(stage.ticks(2).machine("m-001")), true);
});

test(
  "a machine with a check that ends with code 0 before it was ever ready has failed, and is no replica " +
    "that has done its work",
  () => {
    const stage = new Stage().hosts("h-1");
    stage.fate = () => "ends";
    stage
      .deploy("dep_1", 1, { ...TERMS, check: CHECK })
      .settle()
      .ticks(3);
    assert.match(stage.machine("m-001").reason ?? "", /^it ended before its check had ever passed/);
    assert.equal(stage.machine("m-001").state, "failed");
    stage.ticks(DEADLINE);
    assert.equal(stage.deployment("dep_1").state, "failed");
  },
);

test("jobs: one that is through takes the place of one that is through, and of nobody who serves", () => {
  const stage = new Stage().hosts("h-1", "h-2");
  stage.fate = () => "ends";
  stage.deploy("dep_1", 1, TERMS).settle().ticks(3).deploy("dep_2", 1, TERMS).settle().ticks(3);
  assert.equal(stage.deployment("dep_2").state, "completed");
});

test(
  "a roll-back names what failed: the exit code, the check's words, though the machine starts anew at " + "that moment",
  () => {
    const stage = serving(4);
    behaves(stage, () => "hangs");
    stage.deploy("dep_2", 4, TERMS).ticks(3);
    const [id] = stage.state
      .machinesOf(idOf(APP))
      .filter(({ deployment_id: of }) => of === "dep_2")
      .map((machine) => machine.id);
    const host = stage.machine(id ?? "").host_id ?? "";
    const report = { id: id ?? "", ready: false, exit_code: 1, started_at: null };
    stage.do({
      type: "host.heard",
      data: {
        host_id: host,
        key_hash: null,
        machines: [{ ...report, state: "starting", reason: "exit code 1 after 3.0 s; restart 2 in 2 s" }],
      },
    });
    stage.do({
      type: "host.heard",
      data: { host_id: host, key_hash: null, machines: [{ ...report, state: "running", reason: null }] },
    });
    stage.ticks(DEADLINE + 2);
    const { state, reason } = stage.deployment("dep_2");
    assert.equal(state, "rolled_back");
    assert.match(reason ?? "", /exit code 1 after 3\.0 s; restart 2 in 2 s; rolled back to dep_1$/);
  },
);

test("how a machine ended says more than that another one was given up for lack of time", () => {
  const stage = serving(8);
  behaves(stage, () => "hangs");
  stage.deploy("dep_2", 8, { ...TERMS, progress_deadline_seconds: 20 }).ticks(3);
  const [first, second] = stage.state
    .machinesOf(idOf(APP))
    .filter(({ deployment_id: of }) => of === "dep_2")
    .map((machine) => machine.id);
  assert.ok(first !== undefined && second !== undefined);
  const report = {
    id: second,
    state: "starting",
    ready: false,
    exit_code: 1,
    started_at: null,
    reason: "exit code 1 after 8.0 s; restart 1 in 1 s",
  } as const;
  stage.do({
    type: "host.heard",
    data: { host_id: stage.machine(second).host_id ?? "", key_hash: null, machines: [report] },
  });
  stage.ticks(25);
  assert.match(stage.deployment("dep_2").reason ?? "", new RegExp(`${second}.*exit code 1 after 8.0 s`));
});

test(
  "a wall clock that jumps changes no deadline: two hours forward roll nothing back, two hours back keep " +
    "nothing rolling",
  () => {
    for (const jump of [7_200_000, -7_200_000]) {
      const stage = serving(4);
      behaves(stage, (age) => (age < 30 ? "unready" : "runs"));
      stage.deploy("dep_2", 4, TERMS).ticks(4);
      stage.now += jump;
      stage.ticks(4);
      assert.equal(stage.deployment("dep_2").state, "rolling", `${jump}`);
      behaves(stage, () => "unready");
      stage.ticks(DEADLINE + 30);
      assert.equal(stage.deployment("dep_2").state, "rolled_back", `${jump}`);
    }
  },
);

test("a wall clock that jumps forward lets no forced drain stop anything before its time", () => {
  const stage = new Stage()
    .hosts("h-1")
    .deploy("dep_1", 2, TERMS)
    .settle()
    .ticks(MIN_HEALTHY + 3);
  stage.drain("h-1", { deadline_at: new Date(stage.now + 60_000).toISOString(), force: true }).ticks(2);
  stage.now += 7_200_000;
  assert.deepEqual(stage.ticks(50).running(), ["m-001", "m-002"]);
  assert.equal(stage.ticks(12).drainState("h-1"), "completed");
});

test("a job that runs once is waited for by a drain, and its row says so", () => {
  const stage = new Stage()
    .hosts("h-1", "h-2")
    .deploy("dep_1", 1, { ...TERMS, restart: "never" })
    .settle()
    .ticks(MIN_HEALTHY + 3);
  const host = stage.machine("m-001").host_id ?? "";
  stage.drain(host).ticks(100);
  assert.deepEqual([stage.count("machine.created"), stage.ready(), stage.drainState(host)], [1, ["m-001"], "draining"]);
  assert.deepEqual(
    stage.rows(host).map(({ state, reason }) => [state, reason?.slice(0, 31)]),
    [["blocked", "it runs once (restart is never)"]],
  );
  stage.fate = () => "ends";
  assert.equal(stage.ticks(4).drainState(host), "completed");
});

const SEEDS = 150;

test(
  `${SEEDS} random roll-outs, drains and images: whoever serves goes only where as many as asked are ` +
    "healthy without it",
  () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const chance = random(seed);
      const replicas = 1 + chance(9);
      const stage = serving(replicas, 4);
      const lives = new Map<string, number>();
      const lifeOf = (id: string): number => {
        const life = lives.get(id) ?? (chance(3) === 0 ? Infinity : chance(25));
        lives.set(id, life);
        return life;
      };
      const bad: Fate[] = ["restarts", "fails", "ends", "unready"];
      const end = bad[chance(bad.length)] ?? "fails";
      const isNew = ({ deployment_id: id }: Machine): boolean => id !== "dep_1";
      behaves(stage, (age, { id }) => (age % (lifeOf(id) + 2) < lifeOf(id) ? "runs" : end), isNew);
      for (let tick = 0; tick < 150; tick++) {
        if (tick % 50 === 5) stage.deploy(`dep_${tick}`, replicas, { ...TERMS, check: chance(2) === 0 ? null : CHECK });
        if (chance(40) === 0) stage.drain(`h-${1 + chance(4)}`);
        if (chance(40) === 0)
          for (const host of stage.state.hosts.values()) if (host.mode !== "active") stage.undrain(host.id);
        step(stage, `seed ${seed}, ${tick} s`);
      }
    }
  },
);

/** One tick, of which each removal is judged at its own moment. */
function step(stage: Stage, why: string): void {
  const apply = stage.do.bind(stage);
  stage.do = (...events) => {
    for (const event of events) {
      if (event.type === "machine.removed" && event.data.reason.startsWith("replaced by "))
        judge(stage, event.data.machine_ids, why);
      apply(event);
    }
    return stage;
  };
  stage.tick();
  stage.do = apply;
}

function judge(stage: Stage, ids: readonly string[], why: string): void {
  const members = stage.state.presentOf(idOf(APP)).filter(({ removing }) => !removing);
  for (const id of ids) {
    const machine = stage.machine(id);
    if (!(machine.state === "running" && machine.ready)) continue;
    const target = stage.state.deployments.get(stage.state.apps.get(idOf(APP))?.deployment_id ?? null);
    const heads = members.filter(
      (other) =>
        other.replaces === null ||
        stage.state.machines.get(other.replaces)?.replaced_by !== other.id ||
        stage.machine(other.replaces).removing,
    );
    const through = heads.filter(({ state }) => state === "stopped").length;
    const others = members.filter((other) => other.id !== id && isHealthy(other)).length;
    assert.ok(others >= (target?.replicas ?? 0) - through, `${why}: ${id} goes while ${others} others are healthy`);
  }
}
