/**
 * The test runner itself, as `npm test` starts it: a test file that hangs, in whatever way, fails within its time and
 * holds up nothing.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../support/process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MANIFEST: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(ROOT, "package.json"), "utf8"),
);

/** Each hangs in its own way; what the runner is to say of it. */
const HANGING: Readonly<Record<string, readonly [source: string, said: RegExp]>> = {
  "a wait that never ends": [
    'test("waits in vain", () => new Promise(() => setInterval(() => undefined, 1_000)));',
    /watchdog: "waits in vain" has run for 1 s, so this file ends here; open: .*Timeout/,
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
    /watchdog: this file has been busy for 4 s, so it ends here/,
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

/** `npm test` for these files alone, with times that a test can wait for. */
function runTests(files: readonly string[]): ReturnType<typeof run> {
  const script = MANIFEST.scripts["test"] ?? "";
  const [options = ""] = /^node (.*) \$\(find test/.exec(script)?.slice(1) ?? [];
  assert.match(options, /--test-timeout=\d+\b/);
  const words = options
    .replace(/--test-timeout=\d+/, "--test-timeout=20000")
    .replace(/--test-concurrency=\S+/, "--test-concurrency=1")
    .split(" ");
  // Without what tells this file that it is a test itself.
  return run(
    "sh",
    ["-c", 'cd "$0" && unset NODE_TEST_CONTEXT && exec "$@"', ROOT, process.execPath, ...words, ...files],
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

test("every test script has both guards", () => {
  for (const name of ["test", "test:quick"])
    assert.match(
      MANIFEST.scripts[name] ?? "",
      /--import \.\/test\/support\/watchdog\.mjs --test --test-timeout=\d+/,
      name,
    );
});
