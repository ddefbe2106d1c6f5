/**
 * 20,000 spoiled requests over raw sockets: the daemon answers or hangs up, and stays what it was. `ZWRM_FUZZ` asks for
 * another number, `ZWRM_SEED` for the same ones.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import * as net from "node:net";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import { rawStatus } from "../support/http.ts";
import { TEMPLATES, spoiled } from "../support/mutate.ts";
import { random } from "../support/random.ts";
import { listTree } from "../support/tree.ts";

const COUNT = Number(process.env["ZWRM_FUZZ"] ?? 20_000);
const SEED = Number(process.env["ZWRM_SEED"] ?? 20_260_101);
const LANES = 32;
/**
 * How long an exchange may go without an answer before we say that nothing more comes, and how long the daemon has to
 * let go then.
 */
const PATIENCE_MS = 60;
const HANG_MS = 10_000;

interface Exchange {
  readonly status: number;
  readonly hung: boolean;
}

/** Sends, waits for a first byte or a moment, says goodbye, and waits until the daemon lets go. */
function exchange(port: number, bytes: Buffer, patienceMs = PATIENCE_MS): Promise<Exchange> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    let first = "";
    let hung = false;
    const goodbye = setTimeout(() => socket.end(), patienceMs);
    const limit = setTimeout(() => {
      hung = true;
      socket.destroy();
    }, HANG_MS);
    socket.on("data", (part: Buffer) => {
      if (first.length < 64) first += part.toString("latin1", 0, 64).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(goodbye);
      clearTimeout(limit);
      resolve({ status: rawStatus(first), hung });
    });
    socket.write(bytes);
  });
}

test("every template of the fuzzer is a request that the daemon serves", async (t) => {
  const daemon = await startDaemon({}, t);
  for (const bytes of TEMPLATES) {
    const { status } = await exchange(daemon.port, bytes, 5_000);
    assert.ok(status > 0 && status < 500 && status !== 401, `${status} for ${bytes.toString("latin1").slice(0, 80)}`);
    if (status === 400) assert.fail(bytes.toString("latin1"));
  }
});

test(
  `${COUNT} fuzzed requests (raw sockets, seed ${SEED}): no crash, no hang, no 500, no file outside its ` + "folder",
  async (t) => {
    const daemon = await startDaemon({ config: `[cors]\nallowed_origins = ["https://console.example"]` }, t);
    const { port, pid } = daemon;
    const outside = listTree(daemon.folder, ["data"]);
    const openAtStart = readdirSync(`/proc/${pid}/fd`).length;
    const chance = random(SEED);
    const statuses = new Map<number, number>();
    const hung: string[] = [];
    let left = COUNT;
    const lane = async (): Promise<void> => {
      while (left > 0 && daemon.running) {
        left--;
        const bytes = spoiled(chance);
        const result = await exchange(port, bytes);
        statuses.set(result.status, (statuses.get(result.status) ?? 0) + 1);
        if (result.hung) hung.push(bytes.toString("latin1").slice(0, 300));
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));

    assert.equal(daemon.running, true, daemon.stderr + daemon.stdoutLines.slice(-20).join("\n"));
    assert.equal(daemon.pid, pid);
    assert.deepEqual(hung, [], "no hang");
    t.diagnostic(
      [...statuses]
        .sort(([a], [b]) => a - b)
        .map(([status, times]) => `${status}: ${times}`)
        .join(", "),
    );
    assert.equal((await daemon.request("GET", "/v1/health")).status, 200);
    assert.deepEqual(
      daemon.stdoutLines.filter((line) => / (ERROR|500) /.test(line)).slice(0, 5),
      [],
      "no 500 and no error in the log",
    );
    assert.equal(statuses.get(500), undefined);
    for (const status of [200, 201, 400, 401, 404, 405, 409, 415, 416, 422, 431])
      assert.ok((statuses.get(status) ?? 0) > 0, `the fuzzer reaches a ${status}`);

    assert.deepEqual(listTree(daemon.folder, ["data"]), outside, "nothing beside data_dir");
    assert.equal(existsSync("/tmp/zwrmd-fuzz-escape"), false);
    const image = /^images\/(sha256\/(([0-9a-f]{2})\/(\3[0-9a-f]{62})?)?|[a-z.]+\/)?$/;
    const allowed = [/^journal\/(\d{20}\.jsonl|.*snapshot.*)?$/, image, /^[a-z.-]*lock$/, /^[a-z-]+\.sock$/];
    const others = listTree(daemon.dataDir).filter((path) => !allowed.some((shape) => shape.test(path)));
    assert.deepEqual(others, [], "data_dir has only what belongs there");
    await eventually("every connection and file to be closed", () =>
      readdirSync(`/proc/${pid}/fd`).length <= openAtStart + 5 ? true : undefined,
    );
    await eventually("nothing in flight", async () =>
      /^zwrmd_http_requests_in_flight 1$/m.test((await daemon.request("GET", "/metrics")).text) ? true : undefined,
    );
    assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    assert.equal((await daemon.command("journal", "verify")).code, 0);
    await daemon.start();
  },
);
