/**
 * The tools beside the real daemon: what only looks writes nothing, what finds nothing to look at says so, and what
 * asks the daemon reaches it.
 */
import assert from "node:assert/strict";
import {
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, TestDaemon, run, runProgram, startDaemon } from "../support/daemon.ts";
import type { Owner, RunResult } from "../support/daemon.ts";
import { register, show } from "../support/fleet.ts";
import { imageOf } from "../support/images.ts";
import { readJournal } from "../support/journal.ts";
import { numberAt, pick } from "../support/json.ts";

const LOOKS: readonly (readonly string[])[] = [
  ["journal", "verify"],
  ["journal", "dump"],
  ["images", "verify"],
  ["backup", "-"],
];

function refused(result: RunResult, why: RegExp, what = ""): void {
  assert.equal(result.code, 1, `${what}: ${result.stdout}${result.stderr}`);
  assert.match(result.stderr, why, what);
  assert.doesNotMatch(result.stdout, /good|images/, what);
}

function done({ code, stdout, stderr }: RunResult): string {
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

/** Every file and folder with its owner, times of change included: what a look must leave as it was. */
function pictureOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const { mode, uid, size, mtimeMs, ino } = lstatSync(join(folder, name));
      return [name, mode, uid, size, mtimeMs, ino].join(" ");
    });
}

async function stoppedWithImage(owner: Owner): Promise<TestDaemon> {
  const daemon = await startDaemon({}, owner);
  await register(daemon, "h-1");
  const image = imageOf(Buffer.from("an image"));
  assert.equal((await daemon.request("PUT", `/v1/images/${image.digest}`, { body: image.bytes })).status, 201);
  await daemon.stop();
  return daemon;
}

const NOTHING_TO_BACK_UP = "there is no journal in .* nothing to back up";

test(
  "nothing to look at is an error for every tool, not a good result: no folder, an empty one, a path " +
    "that is wrong by one letter",
  async (t) => {
    const daemon = new TestDaemon({});
    t.after(() => daemon.close());
    const tools = [...LOOKS, ["journal", "compact"]];
    const noFolder = new RegExp(
      `there is no journal in \\S+/data/journal: there is no such folder|${NOTHING_TO_BACK_UP}`,
    );
    for (const words of tools) refused(await daemon.command(...words), noFolder, words.join(" "));
    mkdirSync(join(daemon.dataDir, "journal"), { recursive: true });
    const empty = new RegExp(`there is no journal in \\S+/data/journal: it holds no segment|${NOTHING_TO_BACK_UP}`);
    for (const words of tools) refused(await daemon.command(...words), empty, words.join(" "));
    assert.deepEqual(readdirSync(daemon.dataDir), ["journal"], "and nothing was made by looking");
  },
);

test("images verify of an images_dir that is not there is an error, here and in the running daemon", async (t) => {
  const daemon = await startDaemon({}, t);
  await register(daemon, "h-1");
  const images = join(daemon.dataDir, "images");
  renameSync(images, `${images}.away`);
  const asked = (): Promise<RunResult> =>
    runProgram(["images", "verify", "--config", daemon.configFile], { ZWRM_SERVER_PORT: String(daemon.port) });
  refused(await asked(), /There is no image store in \S+\/images/);
  renameSync(`${images}.away`, images);
  assert.match(done(await asked()), /^0 images good, 0 lost$/m);
  await daemon.stop();
  rmSync(images, { recursive: true });
  refused(await daemon.command("images", "verify"), /There is no image store in \S+\/images/);
});

test("what only looks leaves the data folder of a stopped daemon as it was, its lock included", async (t) => {
  const daemon = await stoppedWithImage(t);
  const before = pictureOf(daemon.dataDir);
  for (const words of LOOKS) done(await daemon.command(...words));
  assert.deepEqual(pictureOf(daemon.dataDir), before);
});

test("what only looks works on a read-only file system, where there is a lock and where there is none", async (t) => {
  const daemon = await stoppedWithImage(t);
  const unshare = process.getuid?.() === 0 ? ["-m"] : ["-r", "-m"];
  const script = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"`;
  const onReadOnly = (words: readonly string[]): Promise<RunResult> =>
    run("unshare", [
      ...unshare,
      "sh",
      "-c",
      script,
      "sh",
      daemon.dataDir,
      process.execPath,
      PROGRAM,
      ...words,
      "--config",
      daemon.configFile,
    ]);
  if ((await run("unshare", [...unshare, "sh", "-c", script, "sh", daemon.dataDir, "true"])).code !== 0)
    return t.skip("no mount namespace can be made here");
  for (const words of LOOKS) done(await onReadOnly(words));
  rmSync(join(daemon.dataDir, "lock"));
  for (const words of LOOKS) done(await onReadOnly(words));
  const hex = imageOf(Buffer.from("an image")).digest.slice("sha256:".length);
  writeFileSync(join(daemon.dataDir, "images", "sha256", hex.slice(0, 2), hex), "an imagE");
  const { code, stdout } = await onReadOnly(["images", "verify"]);
  assert.equal(code, 1);
  assert.match(stdout, /FAILED, its bytes hash to sha256:[0-9a-f]{64}, and it could not be set aside: EROFS/);
});

test("root leaves nothing of its own in another user's data folder: no lock, no folder", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root makes files of others");
  const daemon = await stoppedWithImage(t);
  rmSync(join(daemon.dataDir, "lock"));
  rmSync(join(daemon.dataDir, "images", "quarantine"), { recursive: true });
  const hex = imageOf(Buffer.from("an image")).digest.slice("sha256:".length);
  writeFileSync(join(daemon.dataDir, "images", "sha256", hex.slice(0, 2), hex), "an imagE");
  await run("chown", ["-R", "12345:12345", daemon.dataDir]);
  for (const words of LOOKS) await daemon.command(...words);
  assert.deepEqual(readdirSync(daemon.dataDir).sort(), ["images", "journal"]);
  assert.equal(readdirSync(join(daemon.dataDir, "images", "quarantine")).length, 1);
  const strangers = pictureOf(daemon.dataDir).filter((line) => line.split(" ")[2] !== "12345");
  assert.deepEqual(strangers, []);
});

test(
  "a daemon that root starts on another user's data folder warns of what that user's daemon cannot use " + "later",
  async (t) => {
    if (process.getuid?.() !== 0) return t.skip("only root can");
    const daemon = new TestDaemon({});
    t.after(() => daemon.close());
    mkdirSync(daemon.dataDir, { mode: 0o700 });
    chownSync(daemon.dataDir, 12_345, 12_345);
    await daemon.start();
    await daemon.line(/WARN this daemon runs as root on the data_dir of another user.* uid=12345/);
    assert.equal(statSync(join(daemon.dataDir, "lock")).uid, 12_345);
  },
);

test(
  "a socket that the config names by a relative path is reached by the tools, from wherever the daemon " +
    "listens on it",
  async (t) => {
    const daemon = await startDaemon({ config: `[server]\nport = 0\nsocket = "z.sock"\n` }, t);
    await register(daemon, "h-1");
    // As npm start does: the same folder for all.
    const beside = (...words: readonly string[]): Promise<RunResult> =>
      run("sh", [
        "-c",
        `cd "$1" && shift && exec "$@"`,
        "sh",
        daemon.folder,
        process.execPath,
        PROGRAM,
        ...words,
        "--config",
        daemon.configFile,
      ]);
    assert.match(done(await beside("backup", "b")), /^b: seq 1 to \d+/);
    assert.match(done(await beside("images", "verify")), /0 images good, 0 lost/);
  },
);

test("GET /v1/ready tells the last line that is on disk, also while nothing can be written", async (t) => {
  const daemon = await startDaemon({}, t);
  await register(daemon, "h-1");
  const { length } = readJournal(daemon.dataDir);
  const ready = await daemon.request("GET", "/v1/ready");
  assert.deepEqual([ready.status, ready.json], [200, { status: "ready", durable_seq: length }]);
  rmSync(join(daemon.dataDir, "lock"));
  const off = await daemon.request("GET", "/v1/ready");
  assert.deepEqual(
    [off.status, numberAt(off.json, "durable_seq"), pick(off.json, "code")],
    [503, length, "storage_failed"],
  );
});

/** A backup of a daemon with one host, and a data folder that has no journal yet. */
async function backedUp(owner: Owner): Promise<{ readonly file: string; readonly restored: TestDaemon }> {
  const daemon = await stoppedWithImage(owner);
  const file = join(daemon.folder, "b");
  done(await daemon.command("backup", file));
  const restored = new TestDaemon({});
  owner.after(() => restored.close());
  return { file, restored };
}

test("a restore onto a journal folder that is a link fills the folder behind it", async (t) => {
  const { file, restored } = await backedUp(t);
  const elsewhere = join(restored.folder, "fast-disk", "zwrm-journal");
  mkdirSync(elsewhere, { recursive: true });
  mkdirSync(restored.dataDir);
  symlinkSync(elsewhere, join(restored.dataDir, "journal"));
  done(await restored.command("restore", file));
  assert.ok(lstatSync(join(restored.dataDir, "journal")).isSymbolicLink());
  assert.deepEqual(readdirSync(join(restored.folder, "fast-disk")), ["zwrm-journal"], "nothing half made is left");
  await restored.start();
  assert.equal(pick(await show(restored, "h-1"), "id"), "h-1");
});

test(
  "a restore onto a journal folder that is a mount, or a link to nowhere, is refused before anything is " + "unpacked",
  async (t) => {
    const { file, restored } = await backedUp(t);
    mkdirSync(restored.dataDir);
    symlinkSync(join(restored.folder, "nowhere"), join(restored.dataDir, "journal"));
    refused(await restored.command("restore", file), /journal is a link that leads nowhere/);
    rmSync(join(restored.dataDir, "journal"));
    mkdirSync(join(restored.dataDir, "journal"));
    const unshare = process.getuid?.() === 0 ? ["-m"] : ["-r", "-m"];
    const script = `mount -t tmpfs tmpfs "$1" && shift && exec "$@"`;
    const words = [process.execPath, PROGRAM, "restore", file, "--config", restored.configFile];
    const onMount = await run("unshare", [
      ...unshare,
      "sh",
      "-c",
      script,
      "sh",
      join(restored.dataDir, "journal"),
      ...words,
    ]);
    if (/unshare|mount:/.test(onMount.stderr)) return t.skip("no mount namespace can be made here");
    refused(
      onMount,
      /cannot be put in the place of \S+journal: EBUSY.*It is a mount of its own: .*Nothing was unpacked\./,
    );
    assert.deepEqual(readdirSync(restored.dataDir).sort(), ["journal", "lock"]);
    done(await restored.command("restore", file));
  },
);

test("a restore does not clear away the backup that it shall read", async (t) => {
  const { file, restored } = await backedUp(t);
  const stage = join(restored.dataDir, ".journal.new");
  mkdirSync(stage, { recursive: true });
  cpSync(file, join(stage, "b"));
  refused(await restored.command("restore", join(stage, "b")), /lies where a restore works itself/);
  assert.deepEqual(readFileSync(join(stage, "b")), readFileSync(file));
  renameSync(join(stage, "b"), join(restored.dataDir, "lock"));
  refused(await restored.command("restore", join(restored.dataDir, "lock")), /lies where a restore works itself/);
  assert.equal(statSync(join(restored.dataDir, "lock")).size, statSync(file).size);
});
