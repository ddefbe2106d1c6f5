/** Part B, State: a real full disk under the journal. */
import assert from "node:assert/strict";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { beat, register, registerBusy, show, statusOf } from "../support/fleet.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { conforms, listAt, pick, shape, text, textAt } from "../support/json.ts";
import { startOnSmallDisk } from "../support/small-disk.ts";

/** Longer than what the journal's last page still has room for after `exhaust`. */
const REASON = "x".repeat(200);

/** Leaves no block free. */
function fillUp(disk: string, filler: string): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
}

/** Makes small changes until one is refused: the journal's last page has room for some lines on a full disk too. */
async function exhaust(daemon: TestDaemon): Promise<Answer> {
  for (let round = 0; round < 200; round++) {
    const action = pick(await show(daemon, "h-2"), "mode") === "active" ? "drain" : "undrain";
    const answer = await daemon.request("POST", `/v1/hosts/h-2/${action}`);
    if (answer.status >= 400) return answer;
  }
  throw new Error("no change is refused on a full disk");
}

test(
  "State: ENOSPC: mutations answer 503 storage_failed, reads and heartbeats go on, health is 503 with " +
    "the reason, and changes work again when there is room",
  async (t) => {
    const disk = await startOnSmallDisk(8, t, `[hosts]\noffline_after = "1s"\ncheck_interval = "250ms"`);
    if (disk === null) return t.skip("no mount namespace can be made here");
    const { daemon, inside } = disk;
    assert.equal((await register(daemon, "h-1", { labels: { version: "1" } })).status, 201);
    await registerBusy(daemon, "h-2");

    fillUp(inside("."), inside("filler"));
    const first = await exhaust(daemon);
    assertError(first, 503, "storage_failed");
    assert.match(String(first.headers["retry-after"]), /^\d+$/);
    assert.match(textAt(first.json, "error"), /space|ENOSPC/i);
    const modeBefore = await statusOf(daemon, "h-2");

    await t.test("every kind of change is refused, and none is half there", async () => {
      assertError(await register(daemon, "h-new"), 503, "storage_failed");
      assertError(await register(daemon, "h-1", { labels: { version: "2" } }), 503, "storage_failed");
      assertError(
        await daemon.request("POST", "/v1/hosts/h-1/drain", { body: { reason: REASON } }),
        503,
        "storage_failed",
      );
      assertError(
        await daemon.asAgent("POST", "/v1/internal/hosts/h-1/deregister", { body: { reason: REASON } }),
        503,
        "storage_failed",
      );
      const { json } = await daemon.request("GET", "/v1/hosts");
      assert.deepEqual(
        listAt(json, "hosts").map((host) => textAt(host, "id")),
        ["h-1", "h-2"],
        "State is put back to the acknowledged lines",
      );
      assert.deepEqual([await statusOf(daemon, "h-1"), await statusOf(daemon, "h-2")], ["active", modeBefore]);
      assert.equal(pick(await show(daemon, "h-1"), "labels.version"), "1");
    });

    await t.test("While writing is off, health is 503 with the reason", async () => {
      const health = await daemon.request("GET", "/v1/health");
      assert.equal(health.status, 503);
      assert.match(health.text, /space|ENOSPC/i);
      assert.notEqual(pick(health.json, "status"), "healthy");
      assert.equal((await daemon.request("GET", "/v1/ready")).status, 503);
      assert.match((await daemon.request("GET", "/metrics")).text, /^zwrmd_journal_writable 0$/m);
    });

    await t.test("heartbeats are still heard, nobody is called offline", async () => {
      assert.equal((await beat(daemon, "h-1", { usage: { cpus: 7, memory_mb: 1, disk_mb: 1 } })).status, 200);
      assert.equal(pick(await show(daemon, "h-1"), "usage.cpus"), 7);
      await sleep(1_800);
      assert.equal(await statusOf(daemon, "h-1"), "active");
    });

    await t.test("after room is made changes work again", async () => {
      rmSync(inside("filler"));
      const answer = await eventually("a change to be taken", async () => {
        const tried = await register(daemon, "h-new");
        return tried.status === 201 ? tried : undefined;
      });
      conforms(pick(answer.json, "host.id"), text);
      await eventually("health", async () =>
        (await daemon.request("GET", "/v1/health")).status === 200 ? true : undefined,
      );
      assert.match((await daemon.request("GET", "/metrics")).text, /^zwrmd_journal_writable 1$/m);
      conforms((await daemon.request("GET", "/v1/health")).json, shape({ status: text }));
      const verify = await daemon.request("GET", "/v1/hosts/h-1");
      assert.equal(pick(verify.json, "labels.version"), "1");
    });

    await t.test("health turns well by itself, without a change that tries", async () => {
      fillUp(inside("."), inside("filler"));
      await exhaust(daemon);
      assert.equal((await daemon.request("GET", "/v1/health")).status, 503);
      rmSync(inside("filler"));
      await eventually(
        "health",
        async () => ((await daemon.request("GET", "/v1/health")).status === 200 ? true : undefined),
        30_000,
      );
      assert.equal((await register(daemon, "h-last")).status, 201);
    });
  },
);
