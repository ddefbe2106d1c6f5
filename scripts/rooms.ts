/**
 * Follows one POST of a deployment through the real daemon, from the socket's bytes to the answer's, and prints each
 * step from one room of src/ to another (src/README.md says what counts). Exact: it sees every function that is
 * entered, by breakpoints that note their stack and never stop.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../src/config/load.ts";
import { Daemon } from "../src/daemon/daemon.ts";
import { lockDataDir } from "../src/journal/lock.ts";
import { systemClock } from "../src/lib/clock.ts";
import { Closing } from "../src/lib/closing.ts";
import { createLog } from "../src/lib/log.ts";
import { createMetrics } from "../src/metrics/catalogue.ts";
import { Registry } from "../src/metrics/registry.ts";

/** A function of ours that was running. */
export interface Frame {
  readonly room: string;
  /** `state/store`. */
  readonly file: string;
  readonly name: string;
}

export interface Step {
  readonly from: string;
  readonly to: string;
  /** `api/request PersonRequest.change`; null where it goes on after a wait. */
  readonly by: string | null;
  readonly into: string;
}

/** Seen by every room and leading nowhere: clock, ids, files; schemas; the rows of the state and how they are found. */
const GROUND = /^(?:lib|wire)\/|^state\/(?:state|table|upgrade)$/;
/** Where the daemon's own work begins, timers aside: the answer waits for none of it. */
const BESIDE = /^fleet\/|^daemon\/|^state\/background$/;
/** By their ends: of a method V8 names the class only at times. */
const FIRST = ["http/server", "request"] as const;
const LAST = ["http/exchange", "#conclude"] as const;
const FRAME = /^ *at (?:async )?(?:(.*?) \()?(?:file:\/\/)?[^ ()]*\/src\/(([a-z]+)\/[a-z/-]+)\.[tj]s:\d+:\d+\)?$/;

/** The frames of a noted stack that are ours, outermost first. The first line is the breakpoint's own. */
export function framesOf(stack: string): Frame[] {
  const lines = stack.split("\n").slice(2);
  return lines
    .flatMap((line) => {
      const [, name = "(callback)", file, room] = FRAME.exec(line) ?? [];
      return file === undefined || room === undefined ? [] : [{ room, file, name }];
    })
    .reverse();
}

function isThat({ file, name }: Frame, [where, what]: readonly [string, string]): boolean {
  return file === where && (name === what || name.endsWith(`.${what}`));
}

/** The steps on the way to the answer; what was entered comes in its order, each as the stack that led there. */
export function stepsOf(entered: readonly (readonly Frame[])[]): Step[] {
  const steps: Step[] = [];
  let before: Frame | null = null;
  const first = entered.findIndex((stack) => stack.some((frame) => isThat(frame, FIRST)));
  for (const stack of entered.slice(first)) {
    const [outermost] = stack;
    const into = stack.at(-1);
    if (outermost === undefined || into === undefined || GROUND.test(into.file)) continue;
    // Once an event is on disk the store tells its followers, before those who wait for it.
    const isTimer = outermost.name.startsWith("Timeout.");
    if (isTimer || BESIDE.test(outermost.file) || stack.some(({ file }) => file === "fleet/fleet")) continue;
    const caller = stack.slice(0, -1).findLast(({ file }) => !GROUND.test(file)) ?? null;
    const from = caller ?? before;
    before = into;
    if (from !== null && from.room !== into.room) {
      const by = caller === null ? null : `${caller.file} ${caller.name}`;
      const step = { from: from.room, to: into.room, by, into: `${into.file} ${into.name}` };
      const last = steps.at(-1);
      // Asking the same room again, with no other in between, leads nowhere new.
      if (last?.from !== step.from || last.to !== step.to) steps.push(step);
    }
    if (isThat(into, LAST)) break;
  }
  return steps;
}

/** Carries out one deployment in a daemon of its own, and gives each function that was entered, as its stack. */
export async function follow(): Promise<Frame[][]> {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-rooms-"));
  const overrides = { "state.data_dir": folder, "build.images_dir": join(folder, "images") };
  const { config } = loadConfig({ path: null, required: false, env: {}, overrides });
  const registry = new Registry();
  const metrics = createMetrics(registry, { version: "", node: "" });
  const sink = { write: (): void => undefined };
  const log = createLog(sink, systemClock, "text", "error");
  const lock = lockDataDir(folder, systemClock);
  const opened = new Closing(() => undefined);
  const around = { config, clock: systemClock, log, sink, registry, metrics, lock, opened, graceMs: 1_000 };
  try {
    const daemon = await Daemon.open(around);
    const path = join(folder, "socket");
    await daemon.listen({ kind: "unix", path });
    const image = Buffer.from("an image");
    const digest = `sha256:${createHash("sha256").update(image).digest("hex")}`;
    await call(path, "PUT", `/v1/images/${digest}`, "application/octet-stream", image);
    await call(path, "POST", "/v1/apps", JSON_TYPE, '{"name":"web"}');
    const body = JSON.stringify({ image: digest, replicas: 0 });
    const deploy = (): Promise<string> => call(path, "POST", "/v1/apps/web/deployments", JSON_TYPE, body);
    // What follows a deployment is over, so that no event of it shares a sync with the next one's.
    const quiet = async (): Promise<void> => {
      while (!(await call(path, "GET", "/v1/apps/web", JSON_TYPE, "")).includes('"state":"completed"'));
    };
    return await enteredBy(deploy, quiet);
  } finally {
    await opened.close();
    lock.release();
    rmSync(folder, { recursive: true });
  }
}

const JSON_TYPE = "application/json";

/** Gives the answer's body. Rejects where it is no success. */
function call(socketPath: string, method: string, path: string, type: string, body: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": type, "Content-Length": Buffer.byteLength(body) };
    const sent = request({ socketPath, method, path, headers, agent: false }, (answer) => {
      const { statusCode = 0 } = answer;
      if (statusCode >= 300) reject(new Error(`${method} ${path}: ${statusCode}`));
      let text = "";
      answer.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      answer.on("end", () => resolve(text));
    });
    sent.on("error", reject).end(body);
  });
}

/** Runs `act`, each time when it is quiet: first to see which functions it enters, then in which order. */
async function enteredBy(act: () => Promise<unknown>, quiet: () => Promise<void>): Promise<Frame[][]> {
  const session = new Session();
  session.connect();
  const entered: string[] = [];
  const note = Symbol.for("zwrm.rooms");
  const limit = Error.stackTraceLimit;
  try {
    await session.post("Debugger.enable");
    await session.post("Profiler.enable");
    await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    // More than once, and until all of it is over: V8 does not tell of each function at its first call, and what ends a
    // request comes after its answer.
    for (let round = 0; round < 3; round++) {
      await act();
      await quiet();
    }
    const { result } = await session.post("Profiler.takePreciseCoverage");
    await session.post("Profiler.stopPreciseCoverage");
    for (const { scriptId, url, functions } of result.filter(({ url }) => /\/src\/[a-z]+\//.test(url))) {
      const { scriptSource } = await session.post("Debugger.getScriptSource", { scriptId });
      for (const { ranges } of functions) {
        const [range] = ranges;
        if (range === undefined || range.count === 0) continue;
        const place = { scriptId, url, ...placeOf(scriptSource, range.startOffset) };
        const end = { scriptId, ...placeOf(scriptSource, range.endOffset) };
        const asked = { start: place, end, restrictToFunction: true };
        const [location] = (await session.post("Debugger.getPossibleBreakpoints", asked)).locations;
        const condition = `globalThis[Symbol.for("zwrm.rooms")](new Error().stack)`;
        if (location !== undefined) await session.post("Debugger.setBreakpoint", { location, condition });
      }
    }
    Error.stackTraceLimit = 200;
    Object.assign(globalThis, {
      [note]: (stack: string): false => {
        entered.push(stack);
        return false;
      },
    });
    await quiet();
    entered.length = 0;
    await act();
    return entered.map(framesOf);
  } finally {
    Error.stackTraceLimit = limit;
    session.disconnect();
    Reflect.deleteProperty(globalThis, note);
  }
}

function placeOf(source: string, offset: number): { lineNumber: number; columnNumber: number } {
  const lines = source.slice(0, offset).split("\n");
  return { lineNumber: lines.length - 1, columnNumber: lines.at(-1)?.length ?? 0 };
}

if (process.argv[1] === import.meta.filename) {
  const steps = stepsOf(await follow());
  const lines = steps.map(({ from, to, by, into }, index) => {
    const number = String(index + 1).padStart(2);
    return `${number}  ${from.padEnd(8)} -> ${to.padEnd(8)}  ${by ?? "(after a wait)"} -> ${into}`;
  });
  process.stdout.write(`${lines.join("\n")}\n${steps.length} changes of room\n`);
}
