import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { detectCapacity, thisHost, UsageMeter } from "../../src/agent/host-facts.ts";
import { acceptCluster, DiskMembership } from "../../src/agent/membership.ts";
import { hostKey, LastList } from "../../src/agent/own-state.ts";
import { DESIRED_MACHINES, HEARTBEAT_ANSWER } from "../../src/wire/agents.ts";
import { diskFiles } from "../../src/lib/files.ts";
import { desired, FakeLog } from "./fakes.ts";

const root = mkdtempSync(join(tmpdir(), "zwrm-own-"));
after(() => rmSync(root, { recursive: true, force: true }));

function newFolder(): string {
  return mkdtempSync(join(root, "s-"));
}

test("the host's key is made once, is long enough, and is nobody else's to read", async () => {
  const folder = newFolder();
  const key = await hostKey(diskFiles, folder);
  assert.match(key, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(await hostKey(diskFiles, folder), key);
  assert.equal(statSync(join(folder, "host.key")).mode & 0o777, 0o600);
  assert.notEqual(await hostKey(diskFiles, newFolder()), key);
});

test("a damaged key is not replaced by a new one, which would lock the host out", async () => {
  const folder = newFolder();
  writeFileSync(join(folder, "host.key"), "short\n");
  await assert.rejects(hostKey(diskFiles, folder), /unbind-key/);
});

test(
  "the cluster survives a restart; another one is obeyed after the operator's word, " + "which is good once",
  async () => {
    const folder = newFolder();
    const log = new FakeLog();
    assert.deepEqual(await acceptCluster(diskFiles, folder, log), { done: false, own: null });
    const first = await DiskMembership.open(diskFiles, folder, log);
    assert.equal(first.clusterId, null);
    await first.join("c-1");
    assert.deepEqual(await acceptCluster(diskFiles, folder, log), { done: false, own: "c-1" });
    const second = await DiskMembership.open(diskFiles, folder, log);
    assert.equal(second.clusterId, "c-1");
    await second.offer("c-2");
    assert.equal(await second.accepted(), null);
    assert.deepEqual(await acceptCluster(diskFiles, folder, log), { done: true, own: "c-1", accepted: "c-2" });
    assert.equal(await second.accepted(), "c-2");
    assert.equal((await DiskMembership.open(diskFiles, folder, log)).clusterId, "c-1");
    await second.join("c-2");
    assert.equal(await second.accepted(), null);
    assert.equal((await DiskMembership.open(diskFiles, folder, log)).clusterId, "c-2");
  },
);

test("offline_after is known to the next start from the first registration on; before that it is 30 s", async () => {
  const folder = newFolder();
  const log = new FakeLog();
  const first = await DiskMembership.open(diskFiles, folder, log);
  assert.equal(first.offlineAfterMs, 30_000);
  await first.learn(5_000);
  assert.deepEqual(readdirSync(folder), [], "it belongs to no cluster yet");
  await first.join("c-1");
  assert.equal((await DiskMembership.open(diskFiles, folder, log)).offlineAfterMs, 5_000);
  await Promise.all([first.learn(60_000), first.offer("c-2"), first.learn(1_000)]);
  const second = await DiskMembership.open(diskFiles, folder, log);
  assert.deepEqual([second.clusterId, second.offlineAfterMs], ["c-1", 1_000]);
  writeFileSync(join(folder, "cluster.json"), '{"cluster_id":"c-1"}');
  assert.equal(
    (await DiskMembership.open(diskFiles, folder, log)).offlineAfterMs,
    30_000,
    "an earlier agent wrote none",
  );
});

test("the last list is kept for its own cluster only, and of many the newest", async () => {
  const folder = newFolder();
  const list = new LastList(diskFiles, folder, new FakeLog());
  for (let round = 0; round < 20; round += 1) list.save("c-1", [desired(`m-${round}`, { env: { A: "b" } })]);
  await list.settled();
  assert.equal(JSON.stringify(await list.load("c-1")), JSON.stringify([desired("m-19", { env: { A: "b" } })]));
  assert.equal(await list.load("c-2"), null);
  assert.equal(await list.load(null), null);
  assert.deepEqual(readdirSync(folder), ["desired.json"]);
  assert.equal(statSync(join(folder, "desired.json")).mode & 0o777, 0o600);
});

test("a damaged list is taken for absent", async () => {
  const folder = newFolder();
  writeFileSync(join(folder, "desired.json"), '{"cluster_id":"c-1","machines":[{}]}');
  const log = new FakeLog();
  assert.equal(await new LastList(diskFiles, folder, log).load("c-1"), null);
  assert.equal(log.count("warn"), 1);
});

test(
  "an answer is read strictly where folders and files are named, and loosely where a newer daemon may " + "say more",
  () => {
    const machine = { ...desired("m-1"), check: { type: "new" }, added: 1 };
    const answer = {
      host_id: "h",
      cluster_id: "c",
      status: "sleeping",
      revision: "r",
      machines: [machine],
      more: true,
    };
    assert.equal(HEARTBEAT_ANSWER.read(answer).machines?.length, 1);
    for (const id of ["../x", ".hidden", "a/b", "", "a".repeat(129)])
      assert.throws(() => DESIRED_MACHINES.read([{ ...machine, id }]), id);
    for (const image of ["sha256:abc", "latest", `sha256:${"A".repeat(64)}`])
      assert.throws(() => DESIRED_MACHINES.read([{ ...machine, image }]), image);
  },
);

test("capacity is detected from this machine, and a given one wins", () => {
  const found = detectCapacity(thisHost, root, { cpus: 0, memoryMb: 0 });
  const total = Number(/^MemTotal:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  assert.equal(found.memory_mb, Math.floor(total / 1024));
  assert.ok(found.cpus >= 1 && found.disk_mb > 0);
  assert.deepEqual(
    { ...detectCapacity(thisHost, root, { cpus: 3, memoryMb: 500 }), disk_mb: 0 },
    { cpus: 3, memory_mb: 500, disk_mb: 0 },
  );
});

test("usage is what was busy between two looks, what cannot be had, and what is in use", () => {
  let times = [
    { busy: 100, total: 1_000 },
    { busy: 0, total: 1_000 },
  ];
  const host = {
    meminfo: () => "MemTotal:  2048000 kB\nMemFree: 1 kB\nMemAvailable:   1024000 kB\n",
    cpuTimes: () => times,
    disk: () => ({ totalBytes: 100 * 1024 * 1024, freeBytes: 40 * 1024 * 1024 }),
  };
  const meter = new UsageMeter(host, "/");
  times = [
    { busy: 600, total: 2_000 },
    { busy: 250, total: 2_000 },
  ];
  assert.deepEqual(meter.read(), { cpus: 0.75, memory_mb: 1_000, disk_mb: 60 });
  assert.equal(meter.read().cpus, 0, "no time has passed");
  assert.equal(existsSync(root), true);
});
