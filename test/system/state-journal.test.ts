/**
 * Part B, State: the journal's format, its chain, what reaches it, segments and snapshots, and one daemon per data_dir.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, StartFailed, eventually, run, runProgram, startDaemon } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { register, show } from "../support/fleet.ts";
import { assertChain, readJournal, segments } from "../support/journal.ts";
import { numberAt, pick, textAt } from "../support/json.ts";

/** "Anyone can walk it with a few lines of shell": these. */
const WALK = `
prev=$(printf '%064d' 0)
cat "$1"/journal/*.jsonl | while IFS= read -r line; do
  sum=\${line#'{"sum":"'}; sum=\${sum%%'"'*}; rest=\${line#*'",'}
  [ "$(printf '%s%s' "$prev" "$rest" | sha256sum | cut -c1-64)" = "$sum" ] || { echo "bad: $line"; exit 1; }
  prev=$sum
done`;

/** Writes enough to fill several small segments. */
async function fill(daemon: TestDaemon, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        register(daemon, `h-${index}`, { labels: { round: String(round), padding: "x".repeat(200) } }),
      ),
    );
    for (const answer of answers) assert.ok(answer.status < 300, answer.text);
  }
}

const SMALL_SEGMENTS = `[journal]\nsegment_bytes = 65536`;

test(
  "State: <data_dir>/journal/<first seq, 20 digits>.jsonl: one JSON object a line, " +
    `{"sum","seq","batch","at","type","actor","data"}: a chain`,
  async (t) => {
    const daemon = await startDaemon({}, t);
    await fill(daemon, 2);
    await daemon.request("POST", "/v1/hosts/h-1/drain", { body: { reason: 'a "quoted" ünïcode reason' } });
    await daemon.stop();
    assert.deepEqual(segments(daemon.dataDir), ["00000000000000000001.jsonl"]);
    const lines = readJournal(daemon.dataDir);
    assertChain(lines);
    for (const { value } of lines)
      assert.deepEqual(Object.keys(value as object), ["sum", "seq", "batch", "at", "type", "actor", "data"]);
    assert.equal(pick(lines[0]?.value, "type"), "journal.segment");
    const walked = await run("sh", ["-c", WALK, "sh", daemon.dataDir]);
    assert.equal(walked.code, 0, walked.stdout + walked.stderr);
  },
);

test(
  "State: A mutating call is answered after its line is on disk; What one command changes is one line; " +
    "concurrent calls share one sync",
  async (t) => {
    const daemon = await startDaemon({}, t);
    const before = readJournal(daemon.dataDir).length;
    assert.equal((await register(daemon, "h-1")).status, 201);
    assert.equal(readJournal(daemon.dataDir).length, before + 1);
    await Promise.all(Array.from({ length: 64 }, (_, index) => register(daemon, `m-${index}`)));
    const lines = readJournal(daemon.dataDir);
    assert.equal(lines.length, before + 65);
    assert.ok(new Set(lines.slice(before + 1).map((line) => line.batch)).size < 64, "some calls shared a write");
  },
);

test("State: the chain holds over many restarts, and everything acknowledged is there after each", async (t) => {
  const daemon = await startDaemon({}, t);
  for (let round = 1; round <= 4; round++) {
    await register(daemon, `h-${round}`, { labels: { round: String(round) } });
    await daemon.restart();
    assert.equal(pick(await show(daemon, `h-${round}`), "labels.round"), String(round));
  }
  await daemon.stop();
  assertChain(readJournal(daemon.dataDir));
});

test(
  "State: Segments close at journal.segment_bytes; a segment's first line is an ordinary journal.segment " + "record",
  async (t) => {
    const daemon = await startDaemon({ config: SMALL_SEGMENTS }, t);
    await fill(daemon, 12);
    const names = segments(daemon.dataDir);
    assert.ok(names.length > 2, names.join());
    await daemon.stop();
    const lines = readJournal(daemon.dataDir);
    assertChain(lines);
    for (const name of names) {
      const first = lines.find((line) => line.file.endsWith(name) && line.number === 1);
      assert.equal(pick(first?.value, "type"), "journal.segment");
      assert.equal(String(first?.seq).padStart(20, "0") + ".jsonl", name);
    }
  },
);

test("State: A start uses the newest good snapshot and every line after it", async (t) => {
  const daemon = await startDaemon({ config: SMALL_SEGMENTS }, t);
  await fill(daemon, 12);
  const snapshots = (): string[] =>
    readdirSync(join(daemon.dataDir, "journal")).filter((name) => name.endsWith(".snapshot"));
  await eventually("a snapshot", () => (snapshots().length > 0 ? true : undefined), 30_000);
  await register(daemon, "h-after", { labels: { late: "yes" } });
  await daemon.restart();
  assert.equal(pick(await show(daemon, "h-19"), "labels.round"), "11");
  assert.equal(pick(await show(daemon, "h-after"), "labels.late"), "yes");
  await daemon.kill9();
  for (const name of snapshots()) {
    const file = join(daemon.dataDir, "journal", name);
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    writeFileSync(file, bytes);
  }
  await daemon.start();
  assert.equal(
    pick(await show(daemon, "h-19"), "labels.round"),
    "11",
    "a bad snapshot is not trusted: the segments have it all",
  );
  assert.equal(pick(await show(daemon, "h-after"), "labels.late"), "yes");
});

test(
  "journal verify walks the chain: exit 0; verify --head SEQ:SUM holds it against a head noted " +
    "elsewhere; the daemon logs its head at stop",
  async (t) => {
    const daemon = await startDaemon({}, t);
    await fill(daemon, 1);
    assert.equal((await daemon.command("journal", "verify")).code, 0, "beside the running daemon too");
    await daemon.stop();
    const log = daemon.stdoutLines.filter((line) => / INFO stopped\b/.test(line)).join("\n");
    const [, seq = "", sum = ""] = /head=(\d+):([0-9a-f]{64})/.exec(log) ?? [];
    const last = readJournal(daemon.dataDir).at(-1);
    assert.equal(`${seq}:${sum}`, `${last?.seq}:${last?.sum}`, log);
    const good = await daemon.command("journal", "verify", "--head", `${seq}:${sum}`);
    assert.equal(good.code, 0, good.stderr);
    const forged = await daemon.command("journal", "verify", "--head", `${seq}:${"0".repeat(64)}`);
    assert.equal(forged.code, 1, "another past");
    const longer = await daemon.command("journal", "verify", "--head", `${Number(seq) + 1}:${sum}`);
    assert.equal(longer.code, 1, "a tail that is gone");
  },
);

test("the daemon logs its head when a segment closes", async (t) => {
  const daemon = await startDaemon({ config: SMALL_SEGMENTS }, t);
  await fill(daemon, 12);
  const line = await daemon.line(/segment.*head=|head=.*segment/);
  const [, seq = "", sum = ""] = /head=(\d+):([0-9a-f]{64})/.exec(line) ?? [];
  assert.equal(readJournal(daemon.dataDir).find((each) => each.seq === Number(seq))?.sum, sum, line);
});

test("journal dump prints the log", async (t) => {
  const daemon = await startDaemon({}, t);
  await register(daemon, "h-1", {}, { "x-zwrm-host-key": "k".repeat(32) });
  await daemon.stop();
  const lines = readJournal(daemon.dataDir);
  const dump = await daemon.command("journal", "dump");
  assert.equal(dump.code, 0, dump.stderr);
  const printed = dump.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as never);
  assert.deepEqual(
    printed.map((line) => numberAt(line, "seq")),
    lines.map((line) => line.seq),
  );
  const keyHash = textAt(lines.find((line) => pick(line.value, "type") === "host.registered")?.value, "data.key_hash");
  assert.ok(!dump.stdout.includes(keyHash), "hashes appear in no dump");
  const secrets = await daemon.command("journal", "dump", "--secrets");
  assert.ok(secrets.stdout.includes(keyHash), "--secrets shows what is on disk");
});

test("journal compact removes closed segments that snapshots cover, and the state stays whole", async (t) => {
  const daemon = await startDaemon({ config: `${SMALL_SEGMENTS}\nretain = "0s"` }, t);
  const snapshots = (): number =>
    readdirSync(join(daemon.dataDir, "journal")).filter((name) => name.endsWith(".snapshot")).length;
  for (const wanted of [1, 2]) {
    await fill(daemon, 12);
    await eventually("a snapshot", () => (snapshots() >= wanted ? true : undefined), 30_000);
  }
  await daemon.stop();
  const before = segments(daemon.dataDir);
  const compact = await daemon.command("journal", "compact");
  assert.equal(compact.code, 0, compact.stderr);
  assert.ok(segments(daemon.dataDir).length < before.length, `${before.length} segments before`);
  await daemon.start();
  assert.equal(pick(await show(daemon, "h-19"), "labels.round"), "11");
  assert.equal((await daemon.command("journal", "verify")).code, 0);
});

test("State: One daemon per data_dir: a second one says who holds it and exits 1", async (t) => {
  const daemon = await startDaemon({}, t);
  const started = startDaemon({ dataDir: daemon.dataDir }, t);
  await assert.rejects(started, (error: unknown) => {
    assert.ok(error instanceof StartFailed);
    assert.equal(error.result.code, 1);
    assert.match(error.result.stderr, new RegExp(`\\b${daemon.pid}\\b`), "who holds it");
    assert.ok(error.result.stderr.includes(daemon.dataDir), error.result.stderr);
    return true;
  });
  assert.equal((await register(daemon, "h-1")).status, 201, "and the first one is not disturbed");
});

test("State: One daemon per data_dir, also across namespaces and after SIGKILL", async (t) => {
  const daemon = await startDaemon({}, t);
  const namespaces = process.getuid?.() === 0 ? ["-n", "-p", "-f", "-u", "-m"] : ["-r", "-n", "-p", "-f", "-u", "-m"];
  if ((await run("unshare", [...namespaces, "true"])).code !== 0) return t.skip("no namespaces can be made here");
  const second = await run("unshare", [...namespaces, process.execPath, PROGRAM, "--config", daemon.configFile]);
  assert.equal(second.code, 1, second.stdout + second.stderr);
  assert.ok(second.stderr.includes(daemon.dataDir), second.stderr);
  await daemon.kill9();
  await daemon.start();
});

test("State: commands that would fight a running daemon do not touch its folder", async (t) => {
  const daemon = await startDaemon({ config: SMALL_SEGMENTS }, t);
  await fill(daemon, 12);
  const result = await runProgram(["journal", "compact", "--config", daemon.configFile]);
  assert.ok(result.code === 1 || result.code === 0);
  await fill(daemon, 1);
  assertChain(readJournal(daemon.dataDir).filter((line) => line.seq > 0));
  await daemon.restart();
  assert.equal((await daemon.command("journal", "verify")).code, 0);
});
