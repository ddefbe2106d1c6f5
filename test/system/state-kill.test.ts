/**
 * Part B, State: kill -9 at random moments under 32 writers. `ZWRM_KILLS=200` asks for more rounds, `ZWRM_SEED` for the
 * same moments.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, startDaemon } from "../support/daemon.ts";
import { register } from "../support/fleet.ts";
import { assertChain, readJournal } from "../support/journal.ts";
import { listAt, numberAt, pick, textAt } from "../support/json.ts";
import { random } from "../support/random.ts";

const WRITERS = 32;
const ROUNDS = Number(process.env["ZWRM_KILLS"] ?? 20);
const SEED = Number(process.env["ZWRM_SEED"] ?? Date.now() % 1_000_000);

test(
  `${ROUNDS} kill -9 at random moments under ${WRITERS} concurrent writers: every acknowledged change is ` +
    `there, every start succeeds, the chain verifies (seed ${SEED})`,
  async (t) => {
    const chance = random(SEED);
    const daemon = await startDaemon({ config: "[journal]\nsegment_bytes = 262144" }, t);
    /** The last version of each host that was acknowledged or shown to a reader, and the last that was sent. */
    const acknowledged = new Map<string, number>();
    const sent = new Map<string, number>();
    let writes = 0;

    for (let round = 0; round < ROUNDS; round++) {
      let stopped = false;
      const writer = async (id: string): Promise<void> => {
        while (!stopped) {
          const version = (sent.get(id) ?? 0) + 1;
          sent.set(id, version);
          const answer = await register(daemon, id, { labels: { version: String(version) } }).catch(() => null);
          if (answer === null) return;
          assert.ok(answer.status === 200 || answer.status === 201, answer.text);
          acknowledged.set(id, Math.max(version, acknowledged.get(id) ?? 0));
          writes++;
        }
      };
      const reader = async (): Promise<void> => {
        while (!stopped) {
          const answer = await daemon.request("GET", "/v1/hosts").catch(() => null);
          if (answer === null) return;
          for (const host of listAt(answer.json, "hosts")) {
            const id = textAt(host, "id");
            acknowledged.set(id, Math.max(Number(textAt(host, "labels.version")), acknowledged.get(id) ?? 0));
          }
          await sleep(5);
        }
      };
      const work = [
        ...Array.from({ length: WRITERS }, (_, index) => writer(`h-${String(index).padStart(2, "0")}`)),
        reader(),
      ];
      const enough = writes + WRITERS;
      await eventually("a write of each", () => (writes >= enough ? true : undefined), 20_000);
      await sleep(chance(200));
      await daemon.kill9();
      stopped = true;
      await Promise.all(work);
      const verify = await daemon.command("journal", "verify");
      await daemon.start();
      const { json } = await daemon.request("GET", "/v1/hosts");
      const found = new Map(
        listAt(json, "hosts").map((host) => [textAt(host, "id"), Number(pick(host, "labels.version"))]),
      );
      for (const [id, version] of acknowledged)
        assert.ok(
          (found.get(id) ?? 0) >= version,
          `round ${round}: ${id} has version ${found.get(id)}, ${version} was acknowledged`,
        );
      for (const [id, version] of found)
        assert.ok(version <= (sent.get(id) ?? 0), `round ${round}: ${id} has version ${version}, which nobody sent`);
      if (!daemon.stdoutLines.some((line) => line.includes("torn"))) assert.equal(verify.code, 0, verify.stderr);
      const after = await daemon.command("journal", "verify");
      assert.equal(after.code, 0, after.stderr);
    }
    assert.ok(writes >= ROUNDS * WRITERS, `${writes} acknowledged writes`);
    assert.equal(numberAt((await daemon.request("GET", "/v1/status")).json, "hosts.total"), WRITERS);
    await daemon.stop();
    assertChain(readJournal(daemon.dataDir));
  },
);
