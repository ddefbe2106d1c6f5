/**
 * Loaded before every test file by test/run.mjs: where coverage is taken, it is not taken of the files in UNCOUNTED,
 * nor of the programs that they start. Plain JavaScript, as the watchdog.
 */
import { relative } from "node:path";
import { stopCoverage } from "node:v8";
import { isMainThread } from "node:worker_threads";
import { UNCOUNTED } from "./plan.mjs";

const file = relative(process.cwd(), process.argv[1] ?? "");

if (isMainThread && process.env["NODE_V8_COVERAGE"] !== undefined && UNCOUNTED.includes(file)) {
  delete process.env["NODE_V8_COVERAGE"];
  stopCoverage();
}
