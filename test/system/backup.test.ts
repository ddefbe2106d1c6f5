/**
 * Part B, Commands: `zwrmd backup FILE` and `zwrmd restore FILE`, of the real program, beside a running daemon and of a
 * stopped one.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, TestDaemon, eventually, run, runProgram, startDaemon } from "../support/daemon.ts";
import type { Owner, RunResult } from "../support/daemon.ts";
import { register, show } from "../support/fleet.ts";
import { imageOf } from "../support/images.ts";
import { appendLine, assertChain, readJournal, segments } from "../support/journal.ts";
import { listAt, pick, textAt } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { startOnSmallDisk } from "../support/small-disk.ts";

const SOCKET = `[server]\nsocket = "FOLDER/zwrmd.sock"\n`;
const SMALL_SEGMENTS = "[journal]\nsegment_bytes = 65536\n";

/** A daemon that was never started, to restore into. */
function fresh(owner: Owner): TestDaemon {
  const daemon = new TestDaemon({});
  owner.after(() => daemon.close());
  return daemon;
}

async function done(work: Promise<RunResult>): Promise<RunResult> {
  const result = await work;
  assert.equal(result.code, 0, result.stderr);
  return result;
}

async function refused(work: Promise<RunResult>, why: RegExp): Promise<void> {
  const { code, stdout, stderr } = await work;
  assert.deepEqual([code, stdout], [1, ""], stderr);
  assert.match(stderr, why);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
}

async function clusterId(daemon: TestDaemon): Promise<string> {
  return textAt((await daemon.request("GET", "/v1/status")).json, "cluster_id");
}

async function hostIds(daemon: TestDaemon): Promise<string[]> {
  return listAt((await daemon.request("GET", "/v1/hosts")).json, "hosts").map((host) => textAt(host, "id"));
}

test(
  "backup beside a running daemon under writers: everything acknowledged before it began is in what is " +
    "restored, with people and tokens, under a new cluster_id",
  async (t) => {
    const daemon = await startDaemon({ config: SOCKET + SMALL_SEGMENTS }, t);
    const user: Json = { email: "ann@example.com", name: "Ann", password: "correct horse battery", host_admin: true };
    assert.equal((await daemon.request("POST", "/v1/users", { body: user })).status, 201);
    const login = await daemon.request("POST", "/v1/auth/login", {
      body: { email: "ann@example.com", password: "correct horse battery" },
    });
    const token = textAt(login.json, "token");
    const acknowledged: string[] = [];
    let running = true;
    const padding = "x".repeat(500);
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let round = 0; running; round++) {
        const answer = await register(daemon, `h-${writer}-${round}`, { labels: { padding } });
        assert.equal(answer.status, 201, answer.text);
        acknowledged.push(`h-${writer}-${round}`);
      }
    });
    await eventually(
      "several segments and a snapshot",
      () =>
        acknowledged.length > 400 &&
        readdirSync(join(daemon.dataDir, "journal")).some((name) => name.endsWith(".snapshot"))
          ? true
          : undefined,
      20_000,
    );
    const before = [...acknowledged];
    const file = join(daemon.folder, "b.backup");
    const { stdout } = await done(daemon.command("backup", file));
    const atEnd = acknowledged.length;
    running = false;
    await Promise.all(writers);
    assert.ok(atEnd > before.length, "writing went on meanwhile");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(
      readdirSync(daemon.folder).filter((name) => name.startsWith(".")),
      [],
      "nothing half made is left",
    );
    const [, head = ""] = /^head (\d+:[0-9a-f]{64})$/m.exec(stdout) ?? [];
    const original = await clusterId(daemon);
    await daemon.stop();

    const restored = fresh(t);
    const said = (await done(restored.command("restore", file))).stdout;
    assert.equal((await done(restored.command("journal", "verify", "--head", head))).stderr, "");
    const journal = readJournal(restored.dataDir);
    assertChain(journal);
    const lines = readJournal(daemon.dataDir);
    journal
      .slice(0, Number(head.split(":")[0]))
      .forEach((line, index) =>
        assert.deepEqual(line.bytes, lines[index]?.bytes, `line ${index + 1} is the original's`),
      );
    assert.equal(pick(journal.at(-1)?.value, "type"), "cluster.restored");
    await restored.start();
    const there = new Set(await hostIds(restored));
    assert.deepEqual(
      before.filter((id) => !there.has(id)),
      [],
    );
    const after = await clusterId(restored);
    assert.notEqual(after, original);
    assert.ok(said.includes(after) && said.includes(original), said);
    const whoami = await restored.request("GET", "/v1/auth/whoami", { headers: { authorization: `Bearer ${token}` } });
    assert.equal(pick(whoami.json, "user.email"), "ann@example.com", "the session is as it was");
    assert.equal((await register(restored, "h-new")).status, 201);
    await restored.restart();
    assert.equal(await clusterId(restored), after, "the new id stays");
  },
);

test("a line that is written but not synced yet is not in a backup of a running daemon", async (t) => {
  const daemon = await startDaemon({ config: SOCKET }, t);
  await register(daemon, "h-1");
  const { length } = readJournal(daemon.dataDir);
  // As the kernel shows it between the daemon's write and its sync.
  appendLine(daemon.dataDir, "host.deregistered", { host_id: "h-1", reason: null });
  const { stdout } = await done(daemon.command("backup", join(daemon.folder, "b")));
  assert.ok(stdout.includes(`seq 1 to ${length},`), stdout);
});

test(
  "backup of a daemon that was killed: all good lines, and nothing of a torn end; the journal itself " +
    "stays as it was",
  async (t) => {
    const daemon = await startDaemon({}, t);
    for (const id of ["h-1", "h-2"]) await register(daemon, id, { labels: { of: id } });
    await daemon.kill9();
    const [name = ""] = segments(daemon.dataDir);
    appendFileSync(join(daemon.dataDir, "journal", name), '{"sum":"torn');
    const bytes = readFileSync(join(daemon.dataDir, "journal", name));
    const file = join(daemon.folder, "b");
    await done(daemon.command("backup", file));
    assert.deepEqual(readFileSync(join(daemon.dataDir, "journal", name)), bytes);
    const restored = fresh(t);
    await done(restored.command("restore", file));
    await restored.start();
    assert.equal(pick(await show(restored, "h-2"), "labels.of"), "h-2");
  },
);

test("- is stdout and stdin: a backup goes through a pipe, and what is said goes to stderr", async (t) => {
  const daemon = await startDaemon({ config: SOCKET }, t);
  await register(daemon, "h-1");
  const restored = fresh(t);
  const pipe = `"$0" "$1" backup - --config "$2" | "$0" "$1" restore - --config "$3"`;
  const piped = await done(run("sh", ["-c", pipe, process.execPath, PROGRAM, daemon.configFile, restored.configFile]));
  assert.match(piped.stderr, /^backup: seq 1 to \d+/);
  await restored.start();
  assert.deepEqual(await hostIds(restored), ["h-1"]);
});

test(
  "a backup that is cut or has a byte flipped is refused with file, line and byte, and leaves nothing; " +
    "the whole one is then restored in its place",
  async (t) => {
    const daemon = await startDaemon({}, t);
    for (let index = 0; index < 5; index++) await register(daemon, `h-${index}`);
    await daemon.stop();
    const file = join(daemon.folder, "b");
    await done(daemon.command("backup", file));
    const bytes = readFileSync(file);
    const restored = fresh(t);
    const bad = join(daemon.folder, "bad");
    const at = bytes.lastIndexOf("host.registered");
    const start = bytes.lastIndexOf("\n", at) + 1;
    const line = bytes.subarray(0, start).toString().split("\n").length;
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
    const cases: readonly [Buffer, string][] = [
      [flipped, `${bad}, line ${line}, byte ${start}: this line does not match its sum`],
      [bytes.subarray(0, at), `${bad}, line ${line}, byte ${start}: this line has no newline`],
      [bytes.subarray(0, start), `${bad}, line ${line}, byte ${start}: this line is missing`],
      [Buffer.alloc(0), `${bad}, line 1, byte 0: this line is missing: the file is empty`],
    ];
    for (const [content, why] of cases) {
      writeFileSync(bad, content);
      await refused(restored.command("restore", bad), new RegExp(why));
      assert.deepEqual(readdirSync(restored.dataDir), ["lock"]);
    }
    await done(restored.command("restore", file));
    await restored.start();
    assert.equal((await hostIds(restored)).length, 5);
  },
);

test("restore over a journal is refused, also beside its daemon, and the journal stays as it was", async (t) => {
  const daemon = await startDaemon({ config: SOCKET }, t);
  await register(daemon, "h-1");
  const file = join(daemon.folder, "b");
  await done(daemon.command("backup", file));
  const before = readJournal(daemon.dataDir);
  await refused(daemon.command("restore", file), /is in use by process \d+/);
  await daemon.stop();
  await refused(
    daemon.command("restore", file),
    /journal is not empty \(0{19}1\.jsonl\): a restore never writes over a journal/,
  );
  assert.deepEqual(readJournal(daemon.dataDir), before);
});

test(
  "a backup of a newer version, with an event that this one does not know, is refused " + "and leaves nothing",
  async (t) => {
    const daemon = await startDaemon({}, t);
    await daemon.stop();
    appendLine(daemon.dataDir, "host.teleported", { host_id: "h-1" });
    await done(daemon.command("backup", join(daemon.folder, "b")));
    const restored = fresh(t);
    await refused(restored.command("restore", join(daemon.folder, "b")), /host\.teleported.*newer zwrmd/);
    assert.deepEqual(readdirSync(restored.dataDir), ["lock"]);
  },
);

test("a backup whose snapshot is of another journal is refused, though its own sums are true", async (t) => {
  const daemon = await startDaemon({}, t);
  await register(daemon, "h-1");
  await daemon.stop();
  const file = join(daemon.folder, "b");
  await done(daemon.command("backup", file));
  const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
  const header = `{"snapshot":1,"seq":2,"sum":"${"e".repeat(64)}"}\n`;
  const snapshot = `{"file":"00000000000000000002.snapshot"}\n${header}{"lines":0,"sha256":"${sha(header)}"}\n`;
  const lines = readFileSync(file, "utf8").replace(/\n/, `\n${snapshot}`);
  const cut = lines.lastIndexOf('{"head"');
  writeFileSync(
    file,
    lines.slice(0, cut) + lines.slice(cut).replace(/"sha256":"[0-9a-f]+"/, `"sha256":"${sha(lines.slice(0, cut))}"`),
  );
  const restored = fresh(t);
  await refused(restored.command("restore", file), /this snapshot gives seq 2 the sum eee.*of another journal/);
  assert.deepEqual(readdirSync(restored.dataDir), ["lock"]);
});

test("root does not restore into a folder of another user, whose daemon could not read it", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root makes files of others");
  const restored = fresh(t);
  mkdirSync(restored.dataDir, { mode: 0o700 });
  chownSync(restored.dataDir, 12_345, 12_345);
  writeFileSync(join(restored.folder, "b"), "");
  await refused(
    restored.command("restore", join(restored.folder, "b")),
    /belongs to the user with uid 12345: restore as that user/,
  );
  assert.deepEqual(readdirSync(restored.dataDir), []);
});

test(
  "a daemon that runs and cannot be asked, or is that of another data_dir: exit 1, nothing is written, " +
    "and the backup before stays",
  async (t) => {
    const daemon = await startDaemon({}, t);
    for (let index = 0; index < 20; index++) await register(daemon, `h-${index}`);
    const other = await startDaemon({}, t);
    const file = join(daemon.folder, "b");
    writeFileSync(file, "yesterday's");
    await refused(
      runProgram(["backup", file, "--config", daemon.configFile], { ZWRM_SERVER_PORT: "1" }),
      /asked at http:\/\/127\.0\.0\.1:1 .* in vain: .*Nothing was written/,
    );
    await refused(
      runProgram(["backup", file, "--config", daemon.configFile], { ZWRM_SERVER_PORT: String(other.port) }),
      /the daemon of another data_dir/,
    );
    assert.equal(readFileSync(file, "utf8"), "yesterday's");
    await done(
      runProgram(["backup", file, "--config", daemon.configFile], {
        ZWRM_SERVER_PORT: String(daemon.port),
        ZWRM_AUTH_LOCALHOST_BYPASS: "false",
      }),
    );
    assert.match(readFileSync(file, "utf8"), /^\{"backup":1,/);
  },
);

test("backup to a full disk: exit 1, and nothing half made is left", async (t) => {
  const disk = await startOnSmallDisk(2, t, SOCKET);
  if (disk === null) return t.skip("no mount namespace can be made here");
  const { daemon, inside } = disk;
  // Twenty lines of 50 KB fit once, and not twice.
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`k${index}`, "x".repeat(250)]));
  for (let index = 0; index < 64; index++) await register(daemon, `h-${index}`, { labels });
  const file = join(inside("."), "b");
  const result = await daemon.command("backup", file, "--data-dir", inside("data"));
  assert.deepEqual([result.code, result.stdout], [1, ""]);
  assert.match(result.stderr, /ENOSPC/);
  assert.deepEqual(readdirSync(inside(".")).sort(), ["data"]);
});

test(
  "what cannot be a backup's place is refused: a folder, a pipe or a device; somebody's link is replaced " +
    "and not written through",
  async (t) => {
    const daemon = await startDaemon({}, t);
    await daemon.stop();
    // A pipe of the test's own stands for every device: a program without this check, run by root, would replace
    // /dev/null.
    const fifo = join(daemon.folder, "fifo");
    await done(run("mkfifo", [fifo]));
    await refused(daemon.command("backup", fifo), /is there and no file/);
    assert.ok(statSync(fifo).isFIFO());
    await refused(daemon.command("backup", daemon.dataDir), /is there and no file/);
    const link = join(daemon.folder, "link");
    const target = join(daemon.folder, "target");
    writeFileSync(target, "mine");
    symlinkSync(target, link);
    await done(daemon.command("backup", link));
    assert.equal(readFileSync(target, "utf8"), "mine");
  },
);

test(
  "a backup never goes over what the daemon lives on, by whatever name: a segment, the lock, an image, " +
    "the config, through a linked folder or a second name",
  async (t) => {
    const daemon = await startDaemon({ config: SOCKET }, t);
    await register(daemon, "h-1");
    const image = imageOf(Buffer.from("an image"));
    assert.equal((await daemon.request("PUT", `/v1/images/${image.digest}`, { body: image.bytes })).status, 201);
    const hex = image.digest.slice("sha256:".length);
    const imageFile = join(daemon.dataDir, "images", "sha256", hex.slice(0, 2), hex);
    const segment = join(daemon.dataDir, "journal", segments(daemon.dataDir)[0] ?? "");
    const linked = join(daemon.folder, "linked");
    symlinkSync(join(daemon.dataDir, "journal"), linked);
    const link = join(daemon.folder, "link");
    symlinkSync(segment, link);
    const twin = join(daemon.folder, "twin");
    linkSync(segment, twin);
    const imageTwin = join(daemon.folder, "image-twin");
    linkSync(imageFile, imageTwin);
    const places = [
      segment,
      join(linked, segments(daemon.dataDir)[0] ?? ""),
      link,
      twin,
      imageTwin,
      imageFile,
      join(daemon.dataDir, "lock"),
      join(daemon.dataDir, "new"),
      daemon.configFile,
    ];
    for (const running of [true, false]) {
      for (const place of places) {
        const before = existsSync(place) ? readFileSync(place) : null;
        await refused(
          daemon.command("backup", place),
          /: the daemon lives on that, and nothing was written\. Choose a place outside of it\.$/m,
        );
        assert.deepEqual(existsSync(place) ? readFileSync(place) : null, before, place);
      }
      if (running) await daemon.stop();
    }
    await daemon.start();
    assert.deepEqual(await hostIds(daemon), ["h-1"]);
  },
);

test(
  "stdout that is led to what the daemon lives on is refused by every tool, before " + "anything is written",
  async (t) => {
    const daemon = await startDaemon({ config: SOCKET }, t);
    await register(daemon, "h-1");
    await daemon.stop();
    const segment = join(daemon.dataDir, "journal", segments(daemon.dataDir)[0] ?? "");
    const before = readFileSync(segment);
    for (const words of ["backup -", "journal dump", "journal verify", "images verify"]) {
      const { code, stderr } = await run("sh", [
        "-c",
        `"$0" "$1" ${words} --config "$2" >>"$3"`,
        process.execPath,
        PROGRAM,
        daemon.configFile,
        segment,
      ]);
      assert.equal(code, 1, words);
      assert.match(stderr, /what stdout is led to is in state\.data_dir/, words);
      assert.deepEqual(readFileSync(segment), before, words);
    }
  },
);

test(
  "Exit codes: 2 for wrong usage, 1 where there is nothing to back up or to restore; " + "--help names both",
  async (t) => {
    for (const words of [
      ["backup"],
      ["restore"],
      ["backup", "a", "b"],
      ["restore", "a", "b"],
      ["backup", "a", "--head", `1:${"0".repeat(64)}`],
    ]) {
      const result = await runProgram(words);
      assert.deepEqual([result.code, result.stdout], [2, ""], words.join(" "));
    }
    const daemon = fresh(t);
    await refused(daemon.command("backup", join(daemon.folder, "b")), /there is no journal in .* nothing to back up/);
    await refused(daemon.command("restore", join(daemon.folder, "b")), /there is no such file/);
    assert.equal(existsSync(daemon.dataDir), false, "a wrong word makes no data folder");
    const { stdout } = await runProgram(["--help"]);
    for (const command of ["zwrmd backup FILE", "zwrmd restore FILE"]) assert.ok(stdout.includes(command), command);
  },
);
