/**
 * Durable before visible: what leaves the store, and when, while lines are on their way to the disk and when they do
 * not get there.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ApiError } from "../../src/lib/errors.ts";
import type { Event } from "../../src/state/events.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { State } from "../../src/state/state.ts";
import type { Decision } from "../../src/state/store.ts";
import { Replay, Store } from "../../src/state/store.ts";
import { FakeClock, turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { linesOf, registered } from "../support/rows.ts";

interface Setup {
  readonly log: MemoryLog;
  readonly state: State;
  readonly store: Store;
  readonly clock: FakeClock;
}

function setUp(): Setup {
  const log = new MemoryLog();
  const state = new State();
  const clock = new FakeClock();
  return { log, state, clock, store: new Store(state, log, clock) };
}

function ids(state: State): string {
  return [...state.hosts.values()]
    .map((host) => host.id)
    .sort()
    .join(",");
}

/** Registers a host, and refuses one that is there. */
function join(hostId: string): (state: State) => Decision<string> {
  return (state) => {
    if (state.hosts.get(idOf(hostId)) !== undefined) throw new ApiError("host_id_in_use", `${hostId} is there`);
    return { event: registered(hostId), answer: ids };
  };
}

/** How a promise stands, without waiting for it. */
function watch(work: unknown): { state: string } {
  const seen = { state: "waits" };
  if (!(work instanceof Promise)) return { state: `at once: ${String(work)}` };
  work.then(
    (value: unknown) => (seen.state = `gave ${String(value)}`),
    (error: unknown) => (seen.state = error instanceof ApiError ? error.code : String(error)),
  );
  return seen;
}

test("an answer leaves when its line is on disk, and not before", async () => {
  const { log, store } = setUp();
  const answer = watch(store.change(SYSTEM, join("h-1")));
  await turn();
  assert.equal(answer.state, "waits");
  log.sync();
  await turn();
  assert.equal(answer.state, "gave h-1");
});

test("the line has the clock's time, the actor, and the event's type and data", () => {
  const { log, store } = setUp();
  const actor = { kind: "host", id: "h-1", ip: "10.0.0.7" } as const;
  void store.change(actor, join("h-1"));
  log.sync();
  const { at, type, actor: written, data } = log.records[0] ?? assert.fail("no line");
  assert.deepEqual({ at, type, actor: written, data }, { at: "2026-01-02T03:04:05.678Z", actor, ...registered("h-1") });
});

test("decisions see writes in flight, and each answer waits for its own line and those before it", async () => {
  const { log, store } = setUp();
  const answers = ["h-1", "h-2", "h-3"].map((id) => watch(store.change(SYSTEM, join(id))));
  log.sync(1);
  await turn();
  assert.deepEqual(
    answers.map((answer) => answer.state),
    ["gave h-1", "waits", "waits"],
  );
  log.sync();
  await turn();
  assert.deepEqual(
    answers.map((answer) => answer.state),
    ["gave h-1", "gave h-1,h-2", "gave h-1,h-2,h-3"],
  );
});

test("a read waits for the writes that it saw", async () => {
  const { log, store } = setUp();
  assert.equal(store.read(ids), "");
  void store.change(SYSTEM, join("h-1"));
  const read = watch(store.read(ids));
  await turn();
  assert.equal(read.state, "waits");
  log.sync();
  await turn();
  assert.equal(read.state, "gave h-1");
  assert.equal(store.read(ids), "h-1");
});

test("a read that saw a write which failed computes anew, from the state that is on disk", async () => {
  const { log, store } = setUp();
  log.automatic = true;
  await store.change(SYSTEM, join("h-1"));
  log.automatic = false;
  const change = watch(store.change(SYSTEM, join("h-2")));
  const read = watch(store.read(ids));
  log.fail("no space");
  await turn();
  assert.equal(change.state, "storage_failed");
  assert.equal(read.state, "gave h-1");
});

test("a read that computes anew waits again when it saw a newer write", async () => {
  const { log, store } = setUp();
  void watch(store.change(SYSTEM, join("h-1")));
  const read = watch(store.read(ids));
  log.fail("no space");
  void watch(store.change(SYSTEM, join("h-2")));
  await turn();
  assert.equal(read.state, "waits");
  log.sync();
  await turn();
  assert.equal(read.state, "gave h-2");
});

test("a refusal waits like an answer for the writes that it saw", async () => {
  const { log, store } = setUp();
  void store.change(SYSTEM, join("h-1"));
  const refusal = watch(store.change(SYSTEM, join("h-1")));
  const missing = watch(
    store.read(() => {
      throw new ApiError("host_not_found", "none");
    }),
  );
  await turn();
  assert.deepEqual([refusal.state, missing.state], ["waits", "waits"]);
  log.sync();
  await turn();
  assert.deepEqual([refusal.state, missing.state], ["host_id_in_use", "host_not_found"]);
});

test("a refusal for a write that failed is taken back: the command is decided anew", async () => {
  const { log, store, state } = setUp();
  void watch(store.change(SYSTEM, join("h-1")));
  const refused = watch(store.change(SYSTEM, join("h-1")));
  log.fail("no space");
  await turn();
  assert.equal(refused.state, "waits");
  log.sync();
  await turn();
  assert.equal(refused.state, "gave h-1");
  assert.equal(ids(state), "h-1");
});

test("a refusal leaves at once, as a throw, when all is on disk", () => {
  const { log, store } = setUp();
  void store.change(SYSTEM, join("h-1"));
  log.sync();
  assert.throws(() => store.change(SYSTEM, join("h-1")), { code: "host_id_in_use" });
  assert.throws(
    () =>
      store.read(() => {
        throw new ApiError("host_not_found", "none");
      }),
    { code: "host_not_found" },
  );
  assert.equal(log.lastSeq, 1);
});

test("a command that changes nothing writes nothing, and waits only for what it saw", async () => {
  const { log, store } = setUp();
  const nothing = (): Decision<string> => ({ event: null, answer: ids });
  assert.equal(store.change(SYSTEM, nothing), "");
  void store.change(SYSTEM, join("h-1"));
  const answer = watch(store.change(SYSTEM, nothing));
  await turn();
  assert.equal(answer.state, "waits");
  assert.equal(log.lastSeq, 1);
  log.sync();
  await turn();
  assert.equal(answer.state, "gave h-1");
});

test("a command that changed nothing for the sake of a write that failed is decided anew", async () => {
  const { log, store } = setUp();
  const ensure = (state: State): Decision<string> => ({
    event: state.hosts.get(idOf("h-1")) === undefined ? registered("h-1") : null,
    answer: ids,
  });
  const first = watch(store.change(SYSTEM, ensure));
  const second = watch(store.change(SYSTEM, ensure));
  log.fail("no space");
  await turn();
  assert.equal(first.state, "storage_failed");
  assert.equal(second.state, "waits");
  log.sync();
  await turn();
  assert.equal(second.state, "gave h-1");
});

test("a failed write puts the state back to the acknowledged lines before anyone is told", async () => {
  const { log, store, state } = setUp();
  void store.change(SYSTEM, join("h-1"));
  log.sync();
  const before = linesOf(state);
  let told = "";
  const change = store.change(SYSTEM, join("h-2"));
  assert.ok(change instanceof Promise);
  const lost = change.catch(() => (told = ids(state)));
  void watch(store.change(SYSTEM, join("h-3")));
  log.fail("no space");
  assert.deepEqual(linesOf(state), before);
  await lost;
  assert.equal(told, "h-1");
});

test("storage_failed says why, and whether room or a restart helps", async () => {
  for (const [untilRestart, remedy] of [
    [false, /Make room/],
    [true, /until the daemon is restarted/],
  ] as const) {
    const { log, store } = setUp();
    const change = store.change(SYSTEM, join("h-1"));
    log.fail("the disk said EIO", untilRestart);
    await assert.rejects(
      async () => change,
      (error) =>
        error instanceof ApiError &&
        error.status === 503 &&
        error.message.includes("the disk said EIO") &&
        remedy.test(error.message),
    );
  }
});

test("the way back from a line is forgotten once it is on disk", () => {
  const { log, store, state } = setUp();
  void store.change(SYSTEM, join("h-1"));
  log.sync();
  state.undo.rollBack(0);
  assert.equal(ids(state), "h-1");
});

test("while writing is off for want of room, a change is the retry", async () => {
  const { log, store } = setUp();
  log.fail("no space");
  assert.equal(store.writability.writable, false);
  const change = watch(store.change(SYSTEM, join("h-1")));
  log.sync();
  await turn();
  assert.equal(change.state, "gave h-1");
  assert.equal(store.writability.writable, true);
});

test("while writing is off until a restart, a change is refused at once and leaves no trace, and reads go on", () => {
  const { log, store, state } = setUp();
  log.fail("EIO", true);
  assert.throws(() => store.change(SYSTEM, join("h-1")), { code: "storage_failed" });
  assert.deepEqual(linesOf(state), []);
  assert.equal(store.read(ids), "");
});

test("an event that a reducer cannot take leaves no trace in the state or the log", () => {
  const { log, store, state } = setUp();
  void store.change(SYSTEM, join("h-1"));
  log.sync();
  const before = linesOf(state);
  // The first half can be applied, the second cannot.
  const data: unknown = { host_id: "h-1", online: true, key_hash: "k", machines: null };
  const broken = { type: "host.heard", data } as Event;
  assert.throws(() => store.change(SYSTEM, () => ({ event: broken, answer: ids })), TypeError);
  assert.deepEqual(linesOf(state), before);
  assert.equal(log.lastSeq, 1);
  assert.equal(store.read(ids), "h-1");
});

test("an event that the log cannot take leaves no trace in the state", () => {
  const { log, store, state } = setUp();
  const data = { ...registered("h-1").data, reason: 1n };
  assert.throws(
    () => store.change(SYSTEM, () => ({ event: { type: "host.registered", data } as unknown as Event, answer: ids })),
    TypeError,
  );
  assert.deepEqual(linesOf(state), []);
  assert.equal(log.lastSeq, 0);
});

test("a change that is aborted does not take an earlier one in flight with it", async () => {
  const { log, store, state } = setUp();
  const first = watch(store.change(SYSTEM, join("h-1")));
  assert.throws(() =>
    store.change(SYSTEM, () => ({ event: { type: "host.heard", data: null } as unknown as Event, answer: ids })),
  );
  log.sync();
  await turn();
  assert.equal(first.state, "gave h-1");
  assert.equal(ids(state), "h-1");
});

test("events are told once they are on disk, in order, and those that failed never", () => {
  const { log, store } = setUp();
  const told: string[] = [];
  store.onDurable((events) => told.push(...events.map((event) => `${event.seq} ${event.type}`)));
  void watch(store.change(SYSTEM, join("h-1")));
  void watch(store.change(SYSTEM, join("h-2")));
  assert.deepEqual(told, []);
  log.sync(1);
  assert.deepEqual(told, ["1 host.registered"]);
  log.fail("no space");
  void watch(store.change(SYSTEM, join("h-3")));
  log.sync();
  assert.deepEqual(told, ["1 host.registered", "2 host.registered"]);
});

test("what a replay of the log gives is the state that lived", () => {
  const { log, store, state } = setUp();
  for (const id of ["h-2", "h-1"]) void store.change(SYSTEM, join(id));
  log.sync();
  const again = new State();
  const replay = new Replay(again);
  for (const record of log.records) replay.record(record);
  assert.deepEqual(linesOf(again), linesOf(state));
});

test("what somebody asks for is judged by its event first, what the daemon does of itself is not", async () => {
  const { log, state, clock } = setUp();
  const asked: string[] = [];
  const store = new Store(state, log, clock, (seen, event) => {
    asked.push(`${event.type} after ${ids(seen)}`);
    throw new ApiError("quota_exceeded", "no more");
  });
  assert.equal(watch(store.change(SYSTEM, join("h-1"))).state, "waits");
  const user = { kind: "user", id: "u_1", ip: null } as const;
  const refused = watch(store.change(user, join("h-2")));
  assert.deepEqual([asked, ids(state), log.lastSeq], [["host.registered after h-1"], "h-1", 1]);
  log.sync();
  await turn();
  assert.equal(refused.state, "quota_exceeded", "it was judged by a line that had to be on disk first");
  assert.deepEqual(watch(store.change(user, () => ({ event: null, answer: ids }))), { state: "at once: h-1" });
});
