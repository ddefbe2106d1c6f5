/** Who was heard when: silence by monotonic time, beats in their order, and two agents under one id. */
import assert from "node:assert/strict";
import test from "node:test";
import { Presence } from "../../src/fleet/presence.ts";
import { idOf } from "../support/ids.ts";

const OFFLINE_AFTER = 30_000;

function beat(presence: Presence, now: number, boot_id?: string, number?: number): boolean {
  return presence.hearBeat(idOf("h-1"), { boot_id, beat: number }, now, 1_000_000 + now);
}

test("a host is silent when nothing was heard for offline_after, to the millisecond", () => {
  const presence = new Presence(OFFLINE_AFTER);
  assert.ok(presence.isSilent(idOf("h-1"), 0), "a host that nobody knows of was not heard");
  beat(presence, 100);
  assert.equal(presence.isSilent(idOf("h-1"), 100 + OFFLINE_AFTER - 1), false);
  assert.equal(presence.isSilent(idOf("h-1"), 100 + OFFLINE_AFTER), true);
});

test("a registration counts as heard and leaves usage and report as they were", () => {
  const presence = new Presence(OFFLINE_AFTER);
  presence.hear(idOf("h-1"), 0, 7);
  assert.equal(presence.heardWall(idOf("h-1")), 7);
  presence.report(idOf("h-1"), { cpus: 1, memory_mb: 2, disk_mb: 3 }, 4);
  presence.hear(idOf("h-1"), 20_000, 8);
  assert.equal(presence.isSilent(idOf("h-1"), 49_999), false);
  assert.deepEqual(presence.usageOf(idOf("h-1")), { cpus: 1, memory_mb: 2, disk_mb: 3 });
  assert.equal(presence.reportedMachines(idOf("h-1")), 4);
});

test("after a restart a host has a full offline_after and is shown as heard when the log says", () => {
  const presence = new Presence(OFFLINE_AFTER);
  presence.assume(idOf("h-1"), 5_000, 42);
  assert.equal(presence.isSilent(idOf("h-1"), 34_999), false);
  assert.equal(presence.isSilent(idOf("h-1"), 35_000), true);
  assert.equal(presence.heardWall(idOf("h-1")), 42);
  assert.equal(presence.reportedMachines(idOf("h-1")), null);
  assert.equal(presence.usageOf(idOf("h-1")), null);
});

test("a host that left is forgotten", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0);
  presence.forget(idOf("h-1"));
  assert.equal(presence.heardWall(idOf("h-1")), null);
  presence.report(idOf("h-1"), undefined, 3);
  assert.equal(presence.reportedMachines(idOf("h-1")), null);
});

test("usage that is absent keeps the last, and so does a beat without a list of machines", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0);
  presence.report(idOf("h-1"), { cpus: 1, memory_mb: 2, disk_mb: 3 }, 0);
  presence.report(idOf("h-1"), undefined, null);
  assert.deepEqual(presence.usageOf(idOf("h-1")), { cpus: 1, memory_mb: 2, disk_mb: 3 });
  assert.equal(presence.reportedMachines(idOf("h-1")), 0);
});

test("a beat older than one already seen is not heard; the next one is", () => {
  const presence = new Presence(OFFLINE_AFTER);
  assert.ok(beat(presence, 0, "a", 1));
  assert.ok(beat(presence, 10, "a", 5));
  for (const late of [1, 4, 5]) assert.equal(beat(presence, 20_000, "a", late), false, String(late));
  assert.equal(presence.isSilent(idOf("h-1"), 10 + OFFLINE_AFTER), true, "a late beat is no sign of life");
  assert.ok(beat(presence, 20_001, "a", 6));
  assert.equal(presence.isSilent(idOf("h-1"), 10 + OFFLINE_AFTER), false);
});

test("beat 0 is the first of a boot", () => {
  const presence = new Presence(OFFLINE_AFTER);
  assert.ok(beat(presence, 0, "a", 0));
  assert.equal(beat(presence, 1, "a", 0), false);
  assert.ok(beat(presence, 2, "b", 0));
});

test("an agent that sends neither boot id nor number is always heard", () => {
  const presence = new Presence(OFFLINE_AFTER);
  for (let now = 0; now < 3; now++) assert.ok(beat(presence, now));
  for (let now = 0; now < 3; now++) assert.ok(beat(presence, now, "a"));
});

test("a number without a boot id orders nothing, also not for the beats that have one", () => {
  const presence = new Presence(OFFLINE_AFTER);
  assert.ok(beat(presence, 0, "a", 1));
  assert.ok(beat(presence, 1, undefined, 1_000));
  assert.ok(beat(presence, 2, undefined, 3));
  assert.ok(beat(presence, 3, "a", 2));
});

test("a new boot id is a restarted agent: its numbers begin anew", () => {
  const presence = new Presence(OFFLINE_AFTER);
  assert.ok(beat(presence, 0, "a", 500));
  assert.ok(beat(presence, 1, "b", 1));
  assert.ok(beat(presence, 2, "c", 1));
  assert.ok(beat(presence, 3, "c", 2));
  assert.ok(beat(presence, 4, "d"));
  assert.ok(beat(presence, 5, "d", 1));
});

test("two boot ids that alternate within offline_after are two agents under one id", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0, "a", 1);
  beat(presence, 10, "b", 1);
  assert.throws(
    () => beat(presence, 10 + OFFLINE_AFTER - 1, "a", 2),
    (error) =>
      error instanceof Error && "code" in error && error.code === "host_id_in_use" && /a .*b|b .*a/.test(error.message),
  );
});

test("the agent that took over goes on being heard, and the refused one keeps nobody alive", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0, "a", 1);
  beat(presence, 10, "b", 1);
  assert.throws(() => beat(presence, 20_000, "a", 2));
  assert.ok(presence.isSilent(idOf("h-1"), 10 + OFFLINE_AFTER));
  assert.ok(beat(presence, 20_001, "b", 2));
});

test(
  "two agents under one id are told of when one of them has been refused three times, not for a beat " +
    "that was still on its way",
  () => {
    const presence = new Presence(OFFLINE_AFTER);
    beat(presence, 0, "a", 1);
    beat(presence, 10, "b", 1);
    for (const number of [2, 3]) {
      assert.throws(() => beat(presence, 20, "a", number));
      assert.equal(presence.conflictOf(idOf("h-1")), null);
    }
    assert.throws(() => beat(presence, 30, "a", 4));
    assert.deepEqual(presence.conflictOf(idOf("h-1"))?.bootIds, ["b", "a"]);
  },
);

test("each field of usage keeps what was said of it last; what was never said is null", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0);
  presence.report(idOf("h-1"), { memory_mb: 5 }, null);
  assert.deepEqual(presence.usageOf(idOf("h-1")), { cpus: null, memory_mb: 5, disk_mb: null });
  presence.report(idOf("h-1"), { cpus: 0, disk_mb: 7 }, null);
  presence.report(idOf("h-1"), {}, null);
  assert.deepEqual(presence.usageOf(idOf("h-1")), { cpus: 0, memory_mb: 5, disk_mb: 7 });
});

test("a former boot id that comes back after offline_after is an agent that was moved back", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0, "a", 1);
  beat(presence, 10, "b", 1);
  assert.ok(beat(presence, 10 + OFFLINE_AFTER, "a", 2));
});

test("a pause of the daemon is nobody's silence", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 0);
  presence.forgive(60_000, 70_000);
  assert.equal(presence.isSilent(idOf("h-1"), 89_999), false);
  assert.equal(presence.isSilent(idOf("h-1"), 90_000), true);
});

test("a host that was heard after the pause, before the sweep, is not heard in the future", () => {
  const presence = new Presence(OFFLINE_AFTER);
  beat(presence, 3_600_000);
  presence.forgive(3_600_000, 3_600_001);
  assert.equal(presence.isSilent(idOf("h-1"), 3_600_001 + OFFLINE_AFTER - 1), false);
  assert.equal(presence.isSilent(idOf("h-1"), 3_600_001 + OFFLINE_AFTER), true);
});
