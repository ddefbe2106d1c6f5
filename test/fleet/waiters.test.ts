/** Held heartbeats: woken by a change, by their time, by the client that left and by the daemon that stops. */
import assert from "node:assert/strict";
import test from "node:test";
import { Waiters } from "../../src/fleet/waiters.ts";
import { FakeClock, turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";

interface Held {
  readonly cancel: () => void;
  readonly done: () => boolean;
}

function hold(waiters: Waiters, hostId: string, ms: number): Held {
  let done = false;
  let cancel = (): void => undefined;
  void waiters.wait(idOf(hostId), ms, (way) => (cancel = way)).then(() => (done = true));
  return { cancel: () => cancel(), done: () => done };
}

test("a change wakes everyone who waits for that host, and nobody else", async () => {
  const waiters = new Waiters(new FakeClock());
  const [one, two, other] = [hold(waiters, "h-1", 1_000), hold(waiters, "h-1", 1_000), hold(waiters, "h-2", 1_000)];
  waiters.wake(idOf("h-1"));
  waiters.wake(idOf("h-9"));
  await turn();
  assert.deepEqual([one.done(), two.done(), other.done()], [true, true, false]);
});

test("time lets each one go at its own end, never before, at most 100 ms after", async () => {
  const clock = new FakeClock();
  const waiters = new Waiters(clock);
  const [short, long] = [hold(waiters, "h-1", 1_000), hold(waiters, "h-1", 25_000)];
  clock.advance(999);
  await turn();
  assert.equal(short.done(), false);
  clock.advance(101);
  await turn();
  assert.deepEqual([short.done(), long.done()], [true, false]);
  clock.advance(23_800);
  await turn();
  assert.equal(long.done(), false);
  clock.advance(200);
  await turn();
  assert.equal(long.done(), true);
});

test("an end between two steps is waited for", async () => {
  const clock = new FakeClock();
  const held = hold(new Waiters(clock), "h-1", 1_040);
  clock.advance(1_039);
  await turn();
  assert.equal(held.done(), false);
  clock.advance(100);
  await turn();
  assert.equal(held.done(), true);
});

test("a client that leaves is let go at once, once", async () => {
  const clock = new FakeClock();
  const waiters = new Waiters(clock);
  const [gone, stays] = [hold(waiters, "h-1", 1_000), hold(waiters, "h-1", 1_000)];
  gone.cancel();
  gone.cancel();
  await turn();
  assert.deepEqual([gone.done(), stays.done()], [true, false]);
  waiters.wake(idOf("h-1"));
  await turn();
  assert.equal(stays.done(), true);
  stays.cancel();
});

test("one timer serves all, and none runs when nobody waits", async () => {
  const clock = new FakeClock();
  const waiters = new Waiters(clock);
  for (let i = 0; i < 100; i++) hold(waiters, `h-${i}`, 1_000);
  assert.equal(clock.armed, 1);
  clock.advance(1_100);
  await turn();
  assert.equal(clock.armed, 0);
  hold(waiters, "h-1", 1_000);
  assert.equal(clock.armed, 1);
});

test("a daemon that stops answers everyone, and holds nobody any more", async () => {
  const clock = new FakeClock();
  const waiters = new Waiters(clock);
  const [one, two] = [hold(waiters, "h-1", 1_000), hold(waiters, "h-2", 1_000)];
  assert.equal(waiters.closed, false);
  waiters.close();
  const late = hold(waiters, "h-1", 1_000);
  await turn();
  assert.deepEqual([one.done(), two.done(), late.done(), waiters.closed, clock.armed], [true, true, true, true, 0]);
});

test("a wall clock that jumps lets nobody go", async () => {
  const clock = new FakeClock();
  const waiters = new Waiters(clock);
  const held = hold(waiters, "h-1", 10_000);
  clock.setWall(clock.wall() + 86_400_000);
  clock.advance(200);
  await turn();
  assert.equal(held.done(), false);
});
