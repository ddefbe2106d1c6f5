/**
 * Loaded before every test file by test/run.mjs: a test that does not end is named, and ends its file; so does a file
 * that takes too long, whether it waits, stays open after its tests, or loops without an end. The runner's own
 * --test-timeout means the file in Node 20 and each test in later ones, and cannot say what was waited for. Plain
 * JavaScript: a thread that a test starts loads it too, and in Node 20 no loader reads TypeScript there.
 */
import { relative } from "node:path";
import { afterEach, beforeEach } from "node:test";
import { isMainThread, Worker } from "node:worker_threads";

/** Long enough for the longest of each on a machine that does four other things. */
const TEST_SECONDS = Number(process.env["ZWRM_TEST_SECONDS"] ?? 600);
const FILE_SECONDS = Number(process.env["ZWRM_TEST_FILE_SECONDS"] ?? 1_200);
/** From then on the file's own thread has shown that it listens to no timer. */
const DEAF_SECONDS = Math.ceil(FILE_SECONDS * 1.025);

/** A thread of its own, which a loop cannot hold up. Whatever the file has started must end by itself then. */
const LAST_RESORT = `
const { workerData } = require("node:worker_threads");
setTimeout(() => {
  const [test] = Buffer.from(new Uint8Array(workerData)).toString("utf8").split("\\0");
  const within = test === "" ? "" : " within " + test;
  const said = "watchdog: this file has been busy for ${DEAF_SECONDS} s" + within + ", so it ends here\\n";
  require("node:fs").writeSync(2, said);
  process.kill(process.pid, "SIGKILL");
}, ${DEAF_SECONDS * 1_000});
`;

/** The test that began last, for that thread: as long as a line of a terminal may be. */
const began = new Uint8Array(new SharedArrayBuffer(1_024));

// The runner loads this too, for itself, and so does every thread that a test starts; these run no test.
if (process.env["NODE_TEST_CONTEXT"] !== undefined && isMainThread) watch();

function watch() {
  new Worker(LAST_RESORT, { eval: true, execArgv: [], workerData: began.buffer }).unref();
  endAfter(FILE_SECONDS, "this file");
  const running = new Map();
  beforeEach((context) => {
    const name = nameOf(context);
    clearTimeout(running.get(name));
    running.set(name, endAfter(TEST_SECONDS, name));
    new TextEncoder().encodeInto(name, began.fill(0));
  });
  afterEach((context) => {
    clearTimeout(running.get(nameOf(context)));
    running.delete(nameOf(context));
  });
}

/** It keeps no process alive that would end without it. */
function endAfter(seconds, what) {
  const end = () => {
    const open = [...new Set(process.getActiveResourcesInfo())].join(", ");
    const reading = globalThis.zwrmTestFile === undefined ? "" : ` in ${globalThis.zwrmTestFile}`;
    process.stderr.write(
      `watchdog: ${what}${reading} has run for ${seconds} s, so this file ends here; open: ${open}\n`,
    );
    // So that handlers of the exit clean up.
    process.exit(1);
  };
  return setTimeout(end, seconds * 1_000).unref();
}

/** A suite has a name as well; only its type says less. The file, where the process has several and Node tells. */
function nameOf(context) {
  if (typeof context !== "object" || context === null || !("name" in context)) return "a test";
  return `"${context.name}"${typeof context.filePath === "string" ? ` of ${relative("", context.filePath)}` : ""}`;
}
