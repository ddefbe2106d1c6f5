/**
 * The data folder, its lock or its journal vanish or are replaced under the real daemon: it never says 201 to what a
 * start would not find.
 */
import assert from "node:assert/strict";
import { cpSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TestDaemon, eventually, startDaemon } from "../support/daemon.ts";
import { beat, register } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import { listAt, pick, textAt } from "../support/json.ts";

/** Health tells it without anybody writing; changes are refused; reads and heartbeats go on. */
async function assertOff(daemon: TestDaemon, why: RegExp): Promise<void> {
  for (const path of ["/v1/health", "/v1/ready"]) {
    const answer = await daemon.request("GET", path);
    assert.deepEqual([answer.status, pick(answer.json, "code")], [503, "storage_failed"]);
    assert.match(answer.text, why);
  }
  const change = await register(daemon, "h-2");
  assertError(change, 503, "storage_failed");
  assert.match(change.text, /off until the daemon is restarted/);
  assert.equal((await beat(daemon, "h-1")).status, 200);
  assert.equal((await daemon.request("GET", "/v1/hosts")).status, 200);
  assert.match((await daemon.request("GET", "/metrics")).text, /^zwrmd_journal_writable 0$/m);
}

for (const [what, harm, why] of [
  [
    "data_dir is removed",
    (data: string): void => rmSync(data, { recursive: true }),
    /was removed while the daemon ran/,
  ],
  [
    "the journal folder is removed",
    (data: string): void => rmSync(join(data, "journal"), { recursive: true }),
    /journal was removed/,
  ],
  [
    "data_dir is moved away and a copy put in its place",
    (data: string): void => {
      renameSync(data, `${data}.away`);
      cpSync(`${data}.away`, data, { recursive: true });
    },
    /was replaced while the daemon ran/,
  ],
  ["the lock is removed", (data: string): void => rmSync(join(data, "lock")), /lock was removed/],
  [
    "the newest segment is removed",
    (data: string): void =>
      rmSync(
        join(
          data,
          "journal",
          readdirSync(join(data, "journal"))
            .filter((name) => name.endsWith(".jsonl"))
            .at(-1) ?? "",
        ),
      ),
    /\.jsonl was removed/,
  ],
] as const) {
  test(
    `${what}: health and ready are 503 with the reason at the next look, and no change ` + "is acknowledged",
    async (t) => {
      const daemon = await startDaemon({}, t);
      assert.equal((await register(daemon, "h-1")).status, 201);
      harm(daemon.dataDir);
      await assertOff(daemon, why);
      assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    },
  );
}

test("without anybody asking, the metric and the log tell within seconds", async (t) => {
  const daemon = await startDaemon({}, t);
  rmSync(join(daemon.dataDir, "lock"));
  await daemon.line(/ERROR journal: off until a restart .*lock was removed/);
  assert.match((await daemon.request("GET", "/metrics")).text, /^zwrmd_journal_writable 0$/m);
});

test(
  "the lock is removed and a second daemon starts: only the second acknowledges, and all that was " +
    "acknowledged is there after both have ended",
  async (t) => {
    const first = await startDaemon({}, t);
    assert.equal((await register(first, "h-1")).status, 201);
    rmSync(join(first.dataDir, "lock"));
    const second = new TestDaemon({ dataDir: first.dataDir });
    t.after(() => second.close());
    await second.start();
    for (let index = 0; index < 3; index++) {
      assert.equal((await register(first, `lost-${index}`)).status, 503);
      assert.equal((await register(second, `kept-${index}`)).status, 201);
    }
    await first.stop();
    await second.restart();
    const hosts = listAt((await second.request("GET", "/v1/hosts")).json, "hosts").map((host) => textAt(host, "id"));
    assert.deepEqual(hosts, ["h-1", "kept-0", "kept-1", "kept-2"]);
    const { code, stdout } = await second.command("journal", "verify");
    assert.equal(code, 0, stdout);
  },
);

test(
  "after a restart on a folder that was put back everything acknowledged is there, and changes work " + "again",
  async (t) => {
    const daemon = await startDaemon({}, t);
    assert.equal((await register(daemon, "h-1")).status, 201);
    renameSync(daemon.dataDir, `${daemon.dataDir}.away`);
    await eventually("health to tell", async () =>
      (await daemon.request("GET", "/v1/health")).status === 503 ? true : undefined,
    );
    renameSync(`${daemon.dataDir}.away`, daemon.dataDir);
    assert.equal((await register(daemon, "h-2")).status, 503, "off until a restart, whatever lies there now");
    await daemon.restart();
    assert.equal((await register(daemon, "h-2")).status, 201);
  },
);
