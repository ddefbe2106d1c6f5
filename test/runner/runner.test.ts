/**
 * The test runner itself, as `npm test` starts it: a test file that hangs, in whatever way, fails within its time and
 * holds up nothing.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { LONGEST, NEEDS_ITS_OWN, QUICK, SHARING, UNCOUNTED } from "../support/plan.mjs";
import { run } from "../support/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MANIFEST: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(ROOT, "package.json"), "utf8"),
);

/** Each hangs in its own way; what the runner is to say of it. */
const HANGING: Readonly<Record<string, readonly [source: string, said: RegExp]>> = {
  "a wait that never ends": [
    'test("waits in vain", () => new Promise(() => setInterval(() => undefined, 1_000)));',
    /watchdog: "waits in vain"(?: of \S+)? has run for 1 s, so this file ends here; open: .*Timeout/,
  ],
  "a file that stays open after its tests": [
    'test("is done", () => undefined); setInterval(() => undefined, 1_000);',
    /watchdog: this file has run for 3 s, so this file ends here/,
  ],
  "a file that waits before its tests": [
    "setInterval(() => undefined, 1_000); await new Promise(() => undefined);",
    /watchdog: this file has run for 3 s, so this file ends here/,
  ],
  "a loop without an end": [
    'test("loops", () => { for (;;); });',
    /watchdog: this file has been busy for 4 s within "loops"(?: of \S+)?, so it ends here/,
  ],
};

/** Threads that a test starts are no test files, and start as they would without the guards. */
const NEXT = `import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
test("the next file runs", async () => {
  await once(new Worker('require("node:worker_threads").parentPort.postMessage(1)', { eval: true }), "message");
});
`;

/** The runner of `npm test` for these files alone, with times that a test can wait for. */
function runTests(files: readonly string[]): ReturnType<typeof run> {
  // Without what tells this file that it is a test itself.
  return runner(["--timeout", "20000", "--concurrency", "1", ...files]);
}

function runner(words: readonly string[]): ReturnType<typeof run> {
  return run(
    "sh",
    ["-c", 'cd "$0" && unset NODE_TEST_CONTEXT && exec "$@"', ROOT, process.execPath, "test/run.mjs", ...words],
    { ZWRM_TEST_SECONDS: "1", ZWRM_TEST_FILE_SECONDS: "3" },
  );
}

for (const [what, [source, said]] of Object.entries(HANGING)) {
  test(`ends ${what}, says so, and goes on with the next file`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "zwrm-runner-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const [hanging, next] = [join(folder, "a-hangs.mts"), join(folder, "b-next.mts")];
    writeFileSync(hanging, `import { test } from "node:test";\n${source}\n`);
    writeFileSync(next, NEXT);
    const { code, stdout, stderr } = await runTests([hanging, next]);
    assert.equal(code, 1, stdout);
    assert.match(stdout + stderr, said);
    assert.match(stdout, /^(?:ok \d+ -|✔) the next file runs/m);
  });
}

test("every test script is the runner, which guards every file", () => {
  assert.equal(MANIFEST.scripts["test"], "node test/run.mjs");
  assert.equal(MANIFEST.scripts["test:quick"], "node test/run.mjs --quick");
});

/** Every test file below a folder, by its path in the project. */
function testFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => posix.join(folder, name))
    .sort();
}

test("runs every test file once, whoever it shares its process with", async () => {
  const { code, stdout } = await runner(["--list"]);
  assert.equal(code, 0);
  assert.deepEqual(stdout.trim().split(/\s+/).sort(), testFiles("test"));
});

test("a file that changes its whole process shares it with none", async () => {
  const lines = (await runner(["--list"])).stdout.trim().split("\n");
  for (const line of lines.filter((each) => each.includes(" ")))
    for (const file of line.split(" "))
      assert.doesNotMatch(readFileSync(join(ROOT, file), "utf8"), NEEDS_ITS_OWN, file);
});

test("what the plan names is there", () => {
  for (const name of [...SHARING, ...LONGEST, ...UNCOUNTED, ...QUICK]) assert.ok(existsSync(join(ROOT, name)), name);
  assert.deepEqual([...new Set(LONGEST)], LONGEST);
});

test("says so and fails where there is no test file", async () => {
  const { code, stderr } = await runner(["test/support"]);
  assert.equal(code, 1);
  assert.match(stderr, /no test file in test\/support/);
});
