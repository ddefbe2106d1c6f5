/**
 * Loaded before every test file by `npm test`: a test that does not end is named, and ends its file; so does a file
 * that takes too long, whether it waits, stays open after its tests, or loops without an end. The runner's own
 * --test-timeout means the file in Node 20 and each test in later ones, and cannot say what was waited for. Plain
 * JavaScript: a thread that a test starts loads it too, and in Node 20 no loader reads TypeScript there.
 */
import { afterEach, beforeEach } from "node:test";
import { isMainThread, Worker } from "node:worker_threads";

/** Long enough for the longest of each on a machine that does four other things. */
const TEST_SECONDS = Number(process.env["ZWRM_TEST_SECONDS"] ?? 600);
const FILE_SECONDS = Number(process.env["ZWRM_TEST_FILE_SECONDS"] ?? 1_200);
/** From then on the file's own thread has shown that it listens to no timer. */
const DEAF_SECONDS = Math.ceil(FILE_SECONDS * 1.025);

/** A thread of its own, which a loop cannot hold up. Whatever the file has started must end by itself then. */
const LAST_RESORT = `
setTimeout(() => {
  require("node:fs").writeSync(2, "watchdog: this file has been busy for ${DEAF_SECONDS} s, so it ends here\\n");
  process.kill(process.pid, "SIGKILL");
}, ${DEAF_SECONDS * 1_000});
`;

// The runner loads this too, for itself, and so does every thread that a test starts; these run no test.
if (process.env["NODE_TEST_CONTEXT"] !== undefined && isMainThread) watch();

function watch() {
  new Worker(LAST_RESORT, { eval: true, execArgv: [] }).unref();
  endAfter(FILE_SECONDS, "this file");
  const running = new Map();
  beforeEach((context) => {
    const name = nameOf(context);
    clearTimeout(running.get(name));
    running.set(name, endAfter(TEST_SECONDS, `"${name}"`));
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
    process.stderr.write(`watchdog: ${what} has run for ${seconds} s, so this file ends here; open: ${open}\n`);
    // So that handlers of the exit clean up.
    process.exit(1);
  };
  return setTimeout(end, seconds * 1_000).unref();
}

/** A suite has a name as well; only its type says less. */
function nameOf(context) {
  return typeof context === "object" && context !== null && "name" in context ? String(context.name) : "a test";
}
