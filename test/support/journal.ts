/** The journal's files read from outside, by nothing but the contract's words: the test's own walk of the chain. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { numberAt, textAt } from "./json.ts";
import type { Json } from "./json.ts";

export interface Line {
  readonly file: string;
  /** Counted from 1 in its file. */
  readonly number: number;
  /** Where it begins in its file. */
  readonly offset: number;
  readonly bytes: Buffer;
  readonly value: Json;
  readonly seq: number;
  readonly batch: number;
  readonly sum: string;
}

const NO_SUM = "0".repeat(64);
const LINE = /^\{"sum":"([0-9a-f]{64})","seq":\d+,"batch":\d+,"at":"[^"]+","type":"[a-z_.]+","actor":/;

/** The names of the segments in order. */
export function segments(dataDir: string): string[] {
  return readdirSync(join(dataDir, "journal"))
    .filter((name) => /^\d{20}\.jsonl$/.test(name))
    .sort();
}

/** Every line of the journal. The last line of the last segment may lack its newline; it is left out. */
export function readJournal(dataDir: string): Line[] {
  const lines: Line[] = [];
  for (const name of segments(dataDir)) {
    const file = join(dataDir, "journal", name);
    const bytes = readFileSync(file);
    let offset = 0;
    for (let number = 1; ; number++) {
      const end = bytes.indexOf(10, offset);
      if (end === -1) break;
      const line = bytes.subarray(offset, end);
      const value = JSON.parse(line.toString("utf8")) as Json;
      lines.push({
        file,
        number,
        offset,
        bytes: line,
        value,
        seq: numberAt(value, "seq"),
        batch: numberAt(value, "batch"),
        sum: textAt(value, "sum"),
      });
      offset = end + 1;
    }
  }
  return lines;
}

export function chainSum(previous: string, rest: Buffer | string): string {
  return createHash("sha256").update(previous).update(rest).digest("hex");
}

/** Walks the chain as the contract tells it; throws at the first line that does not fit. */
export function assertChain(lines: readonly Line[]): void {
  let sum = NO_SUM;
  let batch = 0;
  lines.forEach((line, index) => {
    assert.match(line.bytes.toString("utf8"), LINE);
    assert.equal(line.seq, index + 1, "seq starts at 1 and has no gaps");
    assert.ok(line.batch <= line.seq && line.batch >= batch, `batch ${line.batch} of seq ${line.seq}`);
    assert.equal(line.sum, chainSum(sum, line.bytes.subarray(`{"sum":"${NO_SUM}",`.length)), `sum of seq ${line.seq}`);
    sum = line.sum;
    batch = line.batch;
  });
}

/**
 * Adds a line with a true sum to a journal that no daemon has open: what a later version of the program would have
 * written.
 */
export function appendLine(dataDir: string, type: string, data: Json): void {
  const last = readJournal(dataDir).at(-1);
  assert.ok(last !== undefined);
  const seq = last.seq + 1;
  const rest = JSON.stringify({
    seq,
    batch: seq,
    at: new Date().toISOString(),
    type,
    actor: { kind: "system", id: null, ip: null },
    data,
  }).slice(1);
  appendFileSync(last.file, `{"sum":"${chainSum(last.sum, rest)}",${rest}\n`);
}

/** Puts a machine on a host, as the fleet would, into the journal of a daemon that is stopped. */
export function placeMachine(dataDir: string, id: string, hostId: string): void {
  const workload = {
    image: `sha256:${"a".repeat(64)}`,
    cpus: 2,
    memory_mb: 512,
    restart: "on-failure",
    check: null,
    region: null,
    on_host_loss: "replace",
    progress_deadline_seconds: 600,
  };
  const spec = { id, app_id: "a-1", org_id: "o-1", deployment_id: "dep_1", streak: 0, ...workload };
  appendLine(dataDir, "deployment.created", {
    deployment: { id: "dep_1", app_id: "a-1", org_id: "o-1", replicas: 1, env: { MODE: "test" }, ...workload },
    idempotency: null,
  });
  appendLine(dataDir, "machine.created", { machine: spec, host_id: hostId, replaces: null, why: null });
}
