import assert from "node:assert/strict";
import { test } from "node:test";
import { Closing } from "../../src/lib/closing.ts";

test("closes the last opened first, each only when the one before it is closed", async () => {
  const said: string[] = [];
  const opened = new Closing(() => assert.fail("nothing fails here"));
  opened.add("the lock", () => void said.push("lock"));
  opened.add("the log", async () => {
    await new Promise((resolve) => setImmediate(resolve));
    said.push("log");
  });
  opened.add("the listener", () => void said.push("listener"));
  await opened.close();
  assert.deepEqual(said, ["listener", "log", "lock"]);
});

test("a step that fails is told, and keeps no other from its turn", async () => {
  const said: string[] = [];
  const opened = new Closing((what, error) => void said.push(`${what}: ${String(error)}`));
  opened.add("the lock", () => void said.push("lock"));
  opened.add("the log", () => Promise.reject(new Error("EIO")));
  opened.add("the listener", () => {
    throw new Error("busy");
  });
  await opened.close();
  assert.deepEqual(said, ["the listener: Error: busy", "the log: Error: EIO", "lock"]);
});

test("closes each thing once, however often it is asked", async () => {
  let count = 0;
  const opened = new Closing(() => undefined);
  opened.add("the lock", () => void (count += 1));
  await Promise.all([opened.close(), opened.close()]);
  await opened.close();
  assert.equal(count, 1);
});
