/** What a host tells of itself while the folder of its images comes and goes. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { detectCapacity, SteadyHost, thisHost, UsageMeter } from "../../src/agent/host-facts.ts";
import type { HostView } from "../../src/agent/host-facts.ts";
import { desired, FakeLog } from "./fakes.ts";
import { FakeControlPlane, TestAgent } from "./test-agent.ts";

const MIB = 1024 * 1024;
const root = mkdtempSync(join(tmpdir(), "zwrm-facts-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** A host whose disk can be measured or not, and whose folder can be made or not, as the test says. */
class FakeHost implements HostView {
  trouble: string | null = null;
  canMake = false;
  made = 0;
  meminfo = (): string => "MemTotal: 1024 kB\nMemAvailable: 1024 kB\n";
  cpuTimes = (): { busy: number; total: number }[] => [{ busy: 0, total: 0 }];

  disk(): { totalBytes: number; freeBytes: number } {
    if (this.trouble !== null) throw new Error(this.trouble);
    return { totalBytes: 100 * MIB, freeBytes: 40 * MIB };
  }

  makeFolder = (): void => {
    this.made += 1;
    if (!this.canMake) throw new Error("it cannot be made");
    this.trouble = null;
  };
}

test("a folder that is gone is made again, and the disk below it measured", () => {
  const folder = join(root, "a", "images");
  const log = new FakeLog();
  const host = new SteadyHost(thisHost, log);
  assert.ok(detectCapacity(host, folder, { cpus: 0, memoryMb: 0 }).disk_mb > 0);
  assert.equal(existsSync(folder), true);
  rmSync(join(root, "a"), { recursive: true });
  assert.ok(new UsageMeter(host, folder).read().disk_mb > 0);
  assert.deepEqual(
    log.lines.map(({ level }) => level),
    ["warn", "warn"],
  );
});

test(
  "a disk that cannot be measured is told as it was last, or as none, and the log says it once until " + "that changes",
  () => {
    const view = new FakeHost();
    const log = new FakeLog();
    const host = new SteadyHost(view, log, view.makeFolder);
    const meter = new UsageMeter(host, "/images");
    const facts = (): number => detectCapacity(host, "/images", { cpus: 1, memoryMb: 1 }).disk_mb;
    view.trouble = "EIO";
    assert.deepEqual([facts(), meter.read().disk_mb], [0, 0]);
    view.canMake = true;
    assert.deepEqual([facts(), meter.read().disk_mb], [100, 60]);
    const before = log.count("warn");
    view.canMake = false;
    view.trouble = "EIO";
    for (let beat = 0; beat < 5; beat += 1) assert.deepEqual([facts(), meter.read().disk_mb], [100, 60]);
    assert.equal(log.count("warn"), before + 1);
    view.trouble = "ESTALE";
    for (let beat = 0; beat < 5; beat += 1) facts();
    assert.equal(log.count("warn"), before + 2);
    view.trouble = null;
    facts();
    view.trouble = "ESTALE";
    facts();
    assert.equal(log.count("warn"), before + 3);
  },
);

test(
  "an agent whose image folder is removed beats with its usage, registers anew and runs machines, " +
    "without a restart",
  async (context) => {
    const control = new FakeControlPlane();
    await control.listen();
    context.after(() => control.close());
    const agent = new TestAgent(control.url, context);
    agent.start();
    await control.reported("its first beat", () => control.beats.length > 0);
    const folder = join(agent.folder, "images");
    rmSync(folder, { recursive: true });
    // It has to measure without the folder to register at all.
    control.knows = false;
    await control.reported("a registration without the folder", () => control.registrations.length > 1);
    rmSync(folder, { recursive: true, force: true });
    control.want(desired("m-1", { image: control.image("exec sleep 1000") }));
    await control.reported("a machine that runs", ([machine]) => machine?.state === "running");
    assert.ok((control.beats.at(-1)?.usage?.disk_mb ?? 0) > 0);
    assert.doesNotMatch(agent.output, /the control plane does not take.*ENOENT/);
  },
);
