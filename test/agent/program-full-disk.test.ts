/**
 * The real agent on a disk that becomes full: what its host cannot give it leaves to another host, and how a machine
 * ended it knows all the same.
 */
import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { systemCode } from "../../src/lib/errors.ts";
import { run } from "../support/daemon.ts";
import { desired } from "./fakes.ts";
import { FakeControlPlane, TestAgent } from "./test-agent.ts";

/**
 * An agent whose state lies on a tmpfs in a mount namespace of its own; null where none can be made. `fill` leaves no
 * byte on it, and gives them back.
 */
async function world(
  context: TestContext,
): Promise<{ control: FakeControlPlane; agent: TestAgent; fill: () => () => void } | null> {
  const unshare = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-r", "-m"];
  const [command = "", ...flags] = unshare;
  if ((await run(command, [...flags, "sh", "-c", "mount -t tmpfs tmpfs /tmp"])).code !== 0) return null;
  const control = new FakeControlPlane();
  await control.listen();
  context.after(() => control.close());
  const agent = new TestAgent(control.url, context);
  mkdirSync(join(agent.folder, "state"));
  const script = 'mount -t tmpfs -o "size=1m,mode=0700" tmpfs "$1" && shift && exec "$@"';
  agent.wrapper = [...unshare, "sh", "-c", script, "sh", join(agent.folder, "state")];
  agent.start();
  await control.reported("its first beat", () => control.beats.length > 1);
  const path = `/proc/${agent.pid}/root${join(agent.folder, "state/full")}`;
  const fill = (): (() => void) => {
    const fd = openSync(path, "w");
    try {
      for (;;) writeSync(fd, Buffer.alloc(4_096));
    } catch (error) {
      assert.equal(systemCode(error), "ENOSPC");
    } finally {
      closeSync(fd);
    }
    return () => rmSync(path);
  };
  return { control, agent, fill };
}

test("on a full disk a start is given up at once as the host's fault, and what runs goes on", async (context) => {
  const made = await world(context);
  if (made === null) return context.skip("no mount namespace can be made here");
  const { control, fill } = made;
  const image = control.image("exec sleep 600");
  const other = desired("m-2", { image });
  control.want(other);
  await control.reported("m-2 running", () => control.report("m-2")?.state === "running");
  const free = fill();
  control.want(desired("m-1", { image }), other);
  await control.reported("m-1 given up", () => control.report("m-1")?.state === "failed");
  assert.equal(control.report("m-1")?.fault, "host");
  assert.match(control.report("m-1")?.reason ?? "", /cannot be written on this host: ENOSPC/);
  assert.equal(control.report("m-2")?.state, "running");
  free();
  control.want(desired("m-1", { image, starts: 1 }), other);
  await control.reported("m-1 running", () => control.report("m-1")?.state === "running");
  assert.equal(control.report("m-1")?.fault, undefined);
});

test("a job that ends well on a full disk has ended well, and is not run again", async (context) => {
  const made = await world(context);
  if (made === null) return context.skip("no mount namespace can be made here");
  const { control, agent, fill } = made;
  const go = join(agent.folder, "go");
  const wanted = desired("m-1", { image: control.image(`while ! test -e ${go}; do sleep 0.05; done; exit 0`) });
  control.want(wanted);
  await control.reported("m-1 running", () => control.report("m-1")?.state === "running");
  fill();
  writeFileSync(go, "");
  await control.reported("its end", () => control.report("m-1")?.state === "stopped");
  assert.equal(control.report("m-1")?.exit_code, 0);
  assert.match(control.report("m-1")?.reason ?? "", /^exit code 0 after \d+\.\d s$/);
  const exit = statSync(`/proc/${agent.pid}/root${join(agent.folder, "state/machines/m-1/exit")}`, {
    throwIfNoEntry: false,
  });
  assert.equal(exit, undefined, "nothing could be written down");
});
