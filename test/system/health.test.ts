/**
 * Health that lasts, with the real programs: eight machines serve, and images come that crash at once or after a while,
 * end well at once, are empty or lose their readiness, with and without a check. Looked at from the hosts every 50 ms,
 * never fewer than eight serve; each roll-out ends rolled back with the cause, and `zwrm deploy` with exit code 1. The
 * same for a drain to hosts where the image misbehaves. ZWRM_HEALTH_CASES: how many of the images, spread over the list
 * (all of them where it is not set).
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TestAgent } from "../agent/test-agent.ts";
import { run } from "../support/daemon.ts";
import { listAt, pick, textAt } from "../support/json.ts";
import { startFleet } from "../support/real-fleet.ts";

const ZWRM = fileURLToPath(new URL("../../dist/zwrm.js", import.meta.url));
const REPLICAS = 8;
const LOOK_MS = 50;

const folder = mkdtempSync(join(tmpdir(), "zwrm-health-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const fleet = await startFleet({ after }, { hosts: 5, cpus: 24 });

/** Where the machines of an app leave a mark while they serve, and while their check is to pass. */
function marksOf(app: string): string {
  const marks = join(folder, app);
  mkdirSync(marks, { recursive: true });
  return marks;
}

/**
 * A script that serves: its pid stands in `<marks>/<id>.up`; asked to stop it serves no more at once. Then what comes.
 */
function script(app: string, then: string): string {
  const mark = `${marksOf(app)}/$ZWRM_MACHINE_ID`;
  return `trap 'rm -f "${mark}.up"; exit 0' TERM
: >"${mark}.ready"
echo $$ >"${mark}.new" && mv "${mark}.new" "${mark}.up"
${then}
`;
}

const FOR_EVER = "while :; do sleep 5 & wait $!; done";

/** How many machines of the app serve at this moment: the process that left its mark lives. */
function serving(app: string): number {
  const marks = marksOf(app);
  const pids = readdirSync(marks)
    .filter((name) => name.endsWith(".up"))
    .map((name) => attempt(() => readFileSync(join(marks, name), "utf8").trim()));
  return pids.filter((pid) => pid !== null && pid !== "" && attempt(() => readFileSync(`/proc/${pid}/stat`)) !== null)
    .length;
}

/** Null where the file or the process went meanwhile. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** The fewest that served while `work` was under way. */
async function fewest<T>(app: string, work: Promise<T>): Promise<{ readonly result: T; readonly least: number }> {
  let least = Infinity;
  let done = false;
  void work.finally(() => (done = true)).catch(() => undefined);
  while (!done) {
    least = Math.min(least, serving(app));
    await sleep(LOOK_MS);
  }
  return { result: await work, least };
}

async function zwrm(...words: string[]): Promise<Awaited<ReturnType<typeof run>>> {
  return run(process.execPath, [ZWRM, "--api-url", fleet.daemon.url, ...words]);
}

/** Passes while the machine has its mark. */
function checkOf(app: string): string {
  const script = `test -e "${marksOf(app)}/$ZWRM_MACHINE_ID.ready" || { echo "not now"; exit 1; }`;
  return `exec:${JSON.stringify(["/bin/sh", "-c", script])}`;
}

interface Case {
  readonly what: string;
  /** What the new image does once it serves; null for an empty file. */
  readonly then: string | null;
  readonly check: boolean;
  readonly cause: RegExp;
}

const CASES: readonly Case[] = [
  { what: "crashes at once", then: "exit 1", check: false, cause: /exit code 1 after 0\.\d s/ },
  { what: "crashes at once", then: "exit 1", check: true, cause: /exit code 1 after 0\.\d s/ },
  {
    what: "crashes after 0.7 s",
    then: "sleep 0.7; exit 1",
    check: false,
    cause: /exit code 1 after (0\.[7-9]|1\.\d) s/,
  },
  {
    what: "crashes after 0.7 s",
    then: "sleep 0.7; exit 1",
    check: true,
    cause: /exit code 1 after (0\.[7-9]|1\.\d) s/,
  },
  { what: "crashes after 3 s", then: "sleep 3; exit 1", check: false, cause: /exit code 1 after 3\.\d s/ },
  { what: "crashes after 3 s", then: "sleep 3; exit 1", check: true, cause: /exit code 1 after 3\.\d s/ },
  { what: "crashes after 8 s", then: "sleep 8; exit 1", check: false, cause: /exit code 1 after 8\.\d s/ },
  { what: "crashes after 8 s", then: "sleep 8; exit 1", check: true, cause: /exit code 1 after 8\.\d s/ },
  {
    what: "ends with code 0 at once",
    then: "exit 0",
    check: false,
    cause: /ended by itself \(exit code 0 after 0\.\d s\), while m_\w+ serves/,
  },
  {
    what: "ends with code 0 at once",
    then: 'rm -f "$0.ready"; exit 0',
    check: true,
    cause: /exit code 0 after 0\.\d s/,
  },
  { what: "is empty", then: null, check: false, cause: /exit code 0 after 0\.\d s/ },
  {
    what: "is empty",
    then: null,
    check: true,
    cause: /it ended before its check had ever passed: exit code 0 after 0\.\d s/,
  },
  {
    what: "loses its readiness after 5 s",
    then: "sleep 5; rm -f READY; FOREVER",
    check: true,
    cause: /its check fails: exit 1: not now/,
  },
];

const WANTED = Number(process.env["ZWRM_HEALTH_CASES"] ?? CASES.length);
const chosen = CASES.filter(
  (_, index) => Math.floor((index * WANTED) / CASES.length) !== Math.floor(((index - 1) * WANTED) / CASES.length),
);

/** An app of eight that serve, deployed with the command line, and then the image of the case. */
async function rollsBack(name: string, { then, check, cause }: Case): Promise<void> {
  const [good, bad] = [join(folder, `${name}.good`), join(folder, `${name}.bad`)];
  writeFileSync(good, script(name, FOR_EVER));
  const doing = then?.replace("READY", `"${marksOf(name)}/$ZWRM_MACHINE_ID.ready"`).replace("FOREVER", FOR_EVER);
  writeFileSync(bad, doing === undefined ? "" : script(name, doing));
  const flags = ["--replicas", String(REPLICAS), "--memory", "16", ...(check ? ["--check", checkOf(name)] : [])];
  const first = await zwrm("deploy", name, "--image", good, "--min-healthy", "500ms", ...flags);
  assert.equal(first.code, 0, first.stdout + first.stderr);
  const { result, least } = await fewest(
    name,
    zwrm("deploy", name, "--image", bad, "--progress-deadline", "14s", ...flags),
  );
  const said = result.stdout + result.stderr;
  assert.equal(result.code, 1, said);
  assert.match(said, /was rolled back after/);
  const rows = listAt(await fleet.ask("GET", `/v1/apps/${name}/deployments`), "deployments");
  const rolled = rows.find((row) => pick(row, "state") === "rolled_back");
  assert.match(textAt(rolled ?? null, "reason"), cause);
  assert.ok(said.includes(textAt(rolled ?? null, "reason")), said);
  assert.ok(least >= REPLICAS, `${least} of ${REPLICAS} served`);
  const still = await fleet.settled(name, REPLICAS);
  assert.equal(new Set(still.map((machine) => pick(machine, "deployment_id"))).size, 1);
  assert.equal(serving(name), REPLICAS);
  assert.equal((await zwrm("apps", "rm", name, "--force")).code, 0);
}

test(
  "eight serve at every moment, whatever the new image does; it is rolled back with the cause, and the " +
    "command ends with 1",
  async (context) => {
    const waiting = chosen.map((one, index) => ({ one, name: `web-${index}` }));
    const failures: string[] = [];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const title = `${next.one.what}${next.one.check ? ", with a check" : ""}`;
        await rollsBack(next.name, next.one).then(
          () => context.diagnostic(`${title}: held`),
          (error: unknown) => failures.push(`${title}: ${String(error)}`),
        );
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    assert.deepEqual(failures, []);
  },
);

test(
  "a drain to hosts where the image misbehaves keeps all that serve, and its rows say " + "what is wrong",
  async (context) => {
    // Of a known image a fifth of min_healthy_seconds is asked, 4 s here: far from what these last, and from how late
    // a busy machine's agent may tell of their ends.
    const broken = ["exit 1", "sleep 0.5; exit 1", "exit 0"];
    const here = await startFleet(context, { hosts: 1, cpus: 24 });
    const image = await here.push(script("drained", FOR_EVER));
    await here.deploy(
      "drained",
      { image, replicas: 4, memory_mb: 16, min_healthy_seconds: 20, progress_deadline_seconds: 60 },
      40_000,
    );
    for (const [index, command] of broken.entries()) {
      const top = `host_id = "bad-${index}"\ncapacity_cpus = 4\ncapacity_memory_mb = 1024`;
      new TestAgent(here.daemon.url, context, `command = ["/bin/sh", "-c", "${command}"]`, top).start();
    }
    await here.until("the bad hosts", "/v1/hosts?status=active", (json) =>
      listAt(json, "hosts").length === 1 + broken.length ? true : undefined,
    );
    await here.ask("POST", "/v1/hosts/h-1/drain", { max_parallel: 4 }, 202);
    const { least } = await fewest("drained", sleep(15_000));
    assert.equal(least, 4);
    const status = await here.ask("GET", "/v1/hosts/h-1/drain-status");
    assert.equal(pick(status, "state"), "draining");
    const rows = listAt(status, "machines");
    assert.equal(rows.length, 4);
    assert.ok(
      rows.every((row) => pick(row, "reason") !== null),
      JSON.stringify(rows),
    );
    assert.match(JSON.stringify(rows), /exit code [01] after \d\.\d s/);
  },
);
