/**
 * Runs the tests: `npm test` all of them, `npm run test:quick` those of the quick rooms, `node test/run.mjs test/cli`
 * those of a folder or a file. It decides in which order, how many at once and in which processes, and nothing of what
 * a test does. Plain JavaScript: Node 20 reads no TypeScript by itself.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, posix, relative, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { LONGEST, NEEDS_ITS_OWN, NOT_QUICK, QUICK, SHARING } from "./support/plan.mjs";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    /** Only says which files it would run, those of one process in one line, in their order. */
    list: { type: "boolean", default: false },
    /** Says in the end how long each of the slowest files took. */
    times: { type: "boolean", default: false },
    /** A process's last resort, in milliseconds: the watchdog in it ends it before, and says what it waited for. */
    timeout: { type: "string", default: "1260000" },
    concurrency: { type: "string", default: String(availableParallelism()) },
  },
});

/** The test files of a folder, or the file itself. */
function filesOf(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => posix.join(path, name));
}

/** The folder whose process the file shares, or null where it gets one of its own. */
function sharedFolderOf(file) {
  const folder = posix.dirname(file);
  const shares = SHARING.includes(folder) && !LONGEST.includes(file);
  return shares && !NEEDS_ITS_OWN.test(readFileSync(file, "utf8")) ? folder : null;
}

/** What Node is to run for the files of a process: a module that reads them one after the other; the watchdog tells
 * which of them it has come to. */
function moduleOf(files) {
  const [first = "", second] = files;
  if (second === undefined) return resolve(first);
  const path = join(scratch, `${posix.dirname(first).replaceAll("/", "-")}.mjs`);
  const read = files.map((file) => {
    const url = pathToFileURL(resolve(file)).href;
    return `globalThis.zwrmTestFile = ${JSON.stringify(file)};\nawait import(${JSON.stringify(url)});\n`;
  });
  // Tests run one after the other: none is disturbed by the reading of what follows.
  const title = JSON.stringify(`the test files of ${posix.dirname(first)} are read`);
  const gate = `test(${title}, () => new Promise((all) => (done = all)));\n`;
  const head = `import { test } from "node:test";\nlet done;\n${gate}`;
  writeFileSync(path, `${head}${read.join("")}delete globalThis.zwrmTestFile;\ndone();\n`);
  return path;
}

/** The files of each process, the longest first: no core idles at the end while another has a long one before it. */
function plan(files) {
  const alone = files.filter((file) => sharedFolderOf(file) === null);
  const shared = new Map();
  for (const file of files) {
    const folder = sharedFolderOf(file);
    if (folder !== null) shared.set(folder, [...(shared.get(folder) ?? []), file]);
  }
  const place = (name) => (LONGEST.includes(name) ? LONGEST.indexOf(name) : LONGEST.length);
  return [...shared.keys(), ...alone].sort((a, b) => place(a) - place(b)).map((name) => shared.get(name) ?? [name]);
}

/** Node reads TypeScript by itself from 22.18 on; tsx makes each start of Node 20 a third of a second longer. */
function execArgv() {
  const reader = process.features.typescript ? [] : ["--import", "tsx"];
  return [...reader, "--import", "./test/support/coverage.mjs", "--import", "./test/support/watchdog.mjs"];
}

/** In seconds, what the tests of each file took together. */
const took = new Map();

function count({ file, nesting, details }) {
  if (nesting > 0 || file === undefined) return;
  const name = relative(ROOT, file);
  took.set(name, (took.get(name) ?? 0) + details.duration_ms / 1_000);
}

/** Processor time of all that has run and ended, in seconds; NaN where there is no /proc. */
function cpuSeconds() {
  if (!existsSync("/proc/self/stat")) return NaN;
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ").at(-1)?.split(" ") ?? [];
  // utime, stime, and those of the children that were waited for, in hundredths (proc(5), from the third field on).
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

function sayTimes(files, seconds) {
  const slowest = [...took].sort((a, b) => b[1] - a[1]).slice(0, values.times ? 40 : 0);
  for (const [file, each] of slowest) process.stdout.write(`${each.toFixed(1).padStart(7)} s  ${file}\n`);
  process.stdout.write(`${files} test files in ${seconds.toFixed(1)} s, ${cpuSeconds().toFixed(1)} s of CPU\n`);
}

process.chdir(ROOT);
const named = positionals.map((path) => (path.startsWith("/") ? path : posix.normalize(path).replace(/\/$/, "")));
const asked = values.quick ? QUICK : named.length > 0 ? named : ["test"];
const files = asked
  .flatMap(filesOf)
  .filter((file) => !values.quick || !NOT_QUICK.includes(file))
  .sort();
if (files.length === 0) throw new Error(`no test file in ${asked.join(", ")}`);
const processes = plan(files);
if (values.list) {
  process.stdout.write(processes.map((its) => `${its.join(" ")}\n`).join(""));
  process.exit();
}
const scratch = mkdtempSync(join(tmpdir(), "zwrm-tests-"));
process.on("exit", () => {
  rmSync(scratch, { recursive: true, force: true });
  sayTimes(files.length, performance.now() / 1_000);
});
// Node 20 hands on to a test what it was started with itself, and takes no list.
process.execArgv.push(...execArgv());
const tests = run({
  files: processes.map(moduleOf),
  execArgv: execArgv(),
  concurrency: Number(values.concurrency),
  timeout: Number(values.timeout),
});
tests.on("test:pass", count);
tests.on("test:fail", (test) => {
  process.exitCode = 1;
  count(test);
});
tests.compose(spec).pipe(process.stdout);
