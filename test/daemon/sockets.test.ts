import assert from "node:assert/strict";
import { test } from "node:test";
import { inheritedDescriptor, inheritedListeners } from "../../src/daemon/sockets.ts";

const never = (): boolean => false;

test("takes the sockets of LISTEN_FDS that are meant for this process, by name", () => {
  const env = { LISTEN_PID: "7", LISTEN_FDS: "2", LISTEN_FDNAMES: "zwrmd-tcp:zwrmd-unix" };
  assert.deepEqual(inheritedListeners(env, 7, never), [
    { kind: "inherited", fd: 3, name: "zwrmd-tcp", unixSocket: false },
    { kind: "inherited", fd: 4, name: "zwrmd-unix", unixSocket: true },
  ]);
});

test("takes none that are meant for another process", () => {
  assert.deepEqual(inheritedListeners({ LISTEN_PID: "8", LISTEN_FDS: "1" }, 7, never), []);
  assert.deepEqual(inheritedListeners({ LISTEN_FDS: "1" }, 7, never), []);
  assert.deepEqual(inheritedListeners({ LISTEN_PID: "7", LISTEN_FDS: "x" }, 7, never), []);
});

test("asks the kernel where the name says nothing", () => {
  const env = { LISTEN_PID: "7", LISTEN_FDS: "1", LISTEN_FDNAMES: "zwrmd.socket" };
  assert.deepEqual(
    inheritedListeners(env, 7, () => true).map((listener) => listener.kind === "inherited" && listener.unixSocket),
    [true],
  );
});

test("takes what OpenFile= passed as notify for no socket, and finds it by its name", () => {
  const env = { LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "zwrmd-tcp:notify:zwrmd-unix" };
  assert.deepEqual(
    inheritedListeners(env, 7, never).map((listener) => listener.kind === "inherited" && [listener.fd, listener.name]),
    [
      [3, "zwrmd-tcp"],
      [5, "zwrmd-unix"],
    ],
  );
  assert.equal(inheritedDescriptor(env, 7, "notify"), 4);
  assert.equal(inheritedDescriptor(env, 8, "notify"), null);
  assert.equal(inheritedDescriptor(env, 7, "other"), null);
  assert.deepEqual(
    inheritedListeners({ ...env, LISTEN_FDS: "1", LISTEN_FDNAMES: "notify" }, 7, never),
    [],
    "then it opens its own",
  );
});
