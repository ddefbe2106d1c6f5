/**
 * The real agent is told to stop in the middle of something, beside the real daemon: it ends within a second, its
 * machines run on, and nobody calls its host offline.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { Owner, TestDaemon } from "../support/daemon.ts";
import { imageOf } from "../support/images.ts";
import { listAt, pick } from "../support/json.ts";
import type { Json } from "../support/json.ts";
import { LICENCE, PROGRAM, TestAgent } from "./test-agent.ts";

const HASH = createHash("sha256").update(LICENCE).digest("hex");
const CONFIG = `[hosts]\noffline_after = "4s"\n[license]\nkey_hashes = ["${HASH}"]\n`;
const RUNTIME = 'command = ["/bin/sh", "{image}"]\ncheck_command = ["{check}"]';
const SERVE = "trap 'exit 0' TERM; sleep 300 & while :; do wait; done";

/** The way from the agent to the daemon, on which images come as slowly as the test says. */
class Road {
  readonly #to: string;
  /** How many bytes of an image come at once; then no more does, until it is set to Infinity. */
  imageBytes = Infinity;
  /** How many downloads there were, and how many have been let go. */
  downloads = 0;
  letGo = 0;
  readonly #server = http.createServer((request, response) => this.#forward(request, response));

  constructor(to: string) {
    this.#to = to;
  }

  async listen(owner: Owner): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    owner.after(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { method = "GET", headers, url = "/" } = request;
    const onward = http.request(`${this.#to}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      const some = this.imageBytes;
      if (!url.includes("/images/") || some === Infinity) answer.pipe(response);
      else answer.once("data", (bytes: Buffer) => response.write(bytes.subarray(0, some)));
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    if (url.includes("/images/")) {
      this.downloads += 1;
      response.on("close", () => (this.letGo += 1));
    }
    request.pipe(onward);
  }
}

interface World {
  readonly daemon: TestDaemon;
  readonly road: Road;
  readonly agent: TestAgent;
}

async function world(context: TestContext): Promise<World> {
  const daemon = await startDaemon({ config: CONFIG }, context);
  const road = new Road(daemon.url);
  const agent = new TestAgent(await road.listen(context), context, RUNTIME, 'host_id = "h-1"');
  agent.start();
  await eventually("the host", async () => ((await health(daemon)) === "online" ? true : undefined));
  return { daemon, road, agent };
}

async function health(daemon: TestDaemon): Promise<Json> {
  return pick((await daemon.request("GET", "/v1/hosts")).json, "hosts.0.health") ?? null;
}

async function machinesOf(daemon: TestDaemon, app: string): Promise<Json[]> {
  return listAt((await daemon.request("GET", `/v1/machines?app_id=${app}`)).json, "machines");
}

type Deployment = Record<string, Json>;

async function deploy(daemon: TestDaemon, name: string, script: string, deployment: Deployment = {}): Promise<void> {
  const { digest, bytes } = imageOf(script);
  await daemon.request("PUT", `/v1/images/${digest}`, { body: bytes });
  assert.equal((await daemon.request("POST", "/v1/apps", { body: { name } })).status, 201);
  const body = { image: digest, ...deployment };
  assert.equal((await daemon.request("POST", `/v1/apps/${name}/deployments`, { body })).status, 202);
}

/** What runs as a check of this agent's machines. */
function checksOf(agent: TestAgent): number[] {
  return readdirSync("/proc").flatMap((pid) => {
    const environment = readOrEmpty(`/proc/${pid}/environ`);
    const isOurs = environment.includes("ZWRM_CHECK=1\0") && environment.includes(`ZWRM_MACHINE_DIR=${agent.folder}/`);
    return isOurs ? [Number(pid)] : [];
  });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Looks at the host's health all the time, until it is told to end; gives what it saw. */
function watchHealth(daemon: TestDaemon): () => Promise<Set<Json>> {
  const seen = new Set<Json>();
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      seen.add(await health(daemon));
      await sleep(25);
    }
  })();
  return async () => {
    isOver = true;
    await looking;
    return seen;
  };
}

/** SIGTERM, and the next agent: what every one of these tests is about. */
async function restart({ daemon, agent }: World): Promise<void> {
  // A moment ago the machine's shell may have been two, one about to become its command.
  await eventually("one machine", () => (agent.processes().length === 1 ? true : undefined));
  const before = agent.processes();
  const seen = watchHealth(daemon);
  const asked = performance.now();
  const exit = await agent.stop();
  const took = performance.now() - asked;
  assert.ok(took < 1_000, `it took ${took} ms`);
  assert.equal(exit.code, 0, agent.output);
  assert.deepEqual(agent.processes(), before, "machines run on");
  assert.deepEqual(checksOf(agent), []);
  const said = agent.output.length;
  agent.start();
  await eventually("the next agent", () => (agent.output.slice(said).includes(" INFO registered ") ? true : undefined));
  assert.equal(agent.output.slice(said).split(" INFO adopted a machine ").length - 1, before.length);
  assert.deepEqual(agent.processes(), before, "the next agent has adopted them");
  assert.deepEqual([...(await seen())], ["online"]);
}

/** A port on which no connection comes about: its queue is full, and whoever serves it is stopped. */
async function blackHole(owner: Owner): Promise<number> {
  const script = `const server = require("net").createServer();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port))`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  child.kill("SIGSTOP");
  const port = Number(line.toString("utf8"));
  const fillers = Array.from({ length: 8 }, () => net.connect(port, "127.0.0.1").on("error", () => undefined));
  owner.after(() => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGKILL");
  });
  // Those that it takes are taken at once, on this very machine.
  await eventually("a full queue", () => (fillers.some(({ connecting }) => !connecting) ? true : undefined));
  assert.ok(
    fillers.some(({ connecting }) => connecting),
    "its queue is full",
  );
  return port;
}

async function silentServer(owner: Owner): Promise<{ readonly port: number; readonly asked: () => number }> {
  let asked = 0;
  const server = http.createServer(() => (asked += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  owner.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, asked: () => asked };
}

async function runsOf(daemon: TestDaemon, app: string): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    const machines = await machinesOf(daemon, app);
    return machines.some((machine) => pick(machine, "state") === "running") ? true : undefined;
  };
  await eventually(`${app} running`, look, 30_000);
}

test("a stop during an HTTP check that nobody answers ends within a second", async (context) => {
  const here = await world(context);
  const server = await silentServer(context);
  await deploy(here.daemon, "web", SERVE, { check: { type: "http", port: server.port, timeout_seconds: 60 } });
  await runsOf(here.daemon, "web");
  await eventually("the check", () => (server.asked() > 0 ? true : undefined));
  await restart(here);
});

test("a stop during a TCP check into a black hole ends within a second", async (context) => {
  const here = await world(context);
  const port = await blackHole(context);
  await deploy(here.daemon, "web", SERVE, { check: { type: "tcp", port, timeout_seconds: 60 } });
  await runsOf(here.daemon, "web");
  await restart(here);
});

test(
  "a stop during an exec check that ignores SIGTERM ends within a second, and the " + "check with it",
  async (context) => {
    const here = await world(context);
    const script = "trap '' TERM; setsid sh -c \"trap '' TERM; sleep 200\" >/dev/null 2>&1 & sleep 201";
    await deploy(here.daemon, "web", SERVE, {
      check: { type: "exec", command: ["sh", "-c", script], timeout_seconds: 60 },
    });
    await runsOf(here.daemon, "web");
    await eventually("the check", () => (checksOf(here.agent).length >= 3 ? true : undefined));
    await restart(here);
  },
);

test(
  "a stop during a pull that stands still ends within a second, and the next agent " + "goes on where it was",
  async (context) => {
    const here = await world(context);
    await deploy(here.daemon, "first", SERVE);
    await runsOf(here.daemon, "first");
    here.road.imageBytes = 1_000;
    const script = `${SERVE}\n${"# a long image\n".repeat(100_000)}`;
    await deploy(here.daemon, "web", script);
    const part = join(here.agent.folder, "images/incoming", imageOf(script).digest.slice(7));
    await eventually("its beginning", () => (existsSync(part) && statSync(part).size === 1_000 ? true : undefined));
    await restart(here);
    assert.ok(existsSync(part));
    here.road.imageBytes = Infinity;
    await here.agent.stop();
    here.agent.start();
    await runsOf(here.daemon, "web");
    assert.equal(existsSync(part), false);
  },
);

test("a stop before the control plane has answered a registration ends within a second", async (context) => {
  const server = await silentServer(context);
  const agent = new TestAgent(`http://127.0.0.1:${server.port}`, context, RUNTIME);
  agent.start();
  await eventually("its registration", () => (server.asked() > 0 ? true : undefined));
  const asked = performance.now();
  assert.equal((await agent.stop()).code, 0, agent.output);
  assert.ok(performance.now() - asked < 1_000);
});

test("a stop ends within a second and a half though nobody reads the log any more", async (context) => {
  const server = await silentServer(context);
  const agent = new TestAgent(`http://127.0.0.1:${server.port}`, context, RUNTIME);
  const pipe = join(agent.folder, "log");
  execFileSync("mkfifo", [pipe]);
  const log = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  context.after(() => closeSync(log));
  assert.throws(
    () => {
      for (;;) writeSync(log, Buffer.alloc(4_096, "x"));
    },
    { code: "EAGAIN" },
  );
  const words = [PROGRAM, "--config", agent.configFile];
  const program = spawn(process.execPath, words, { env: {}, stdio: ["ignore", log, "inherit"] });
  context.after(() => program.kill("SIGKILL"));
  await eventually("its registration", () => (server.asked() > 0 ? true : undefined));
  const asked = performance.now();
  program.kill("SIGTERM");
  const [code] = (await once(program, "exit")) as [number | null];
  assert.equal(code, 0);
  assert.ok(performance.now() - asked < 1_500);
});

test(
  "the pull of an app that was deleted ends, and what came of its image is kept for the next that needs " + "it",
  async (context) => {
    const { daemon, road, agent } = await world(context);
    road.imageBytes = 1_000;
    const script = `${SERVE}\n${"# a long image\n".repeat(100_000)}`;
    await deploy(daemon, "web", script);
    const part = join(agent.folder, "images/incoming", imageOf(script).digest.slice(7));
    await eventually("its beginning", () => (existsSync(part) && statSync(part).size === 1_000 ? true : undefined));
    assert.deepEqual([road.downloads, road.letGo], [1, 0]);
    assert.equal((await daemon.request("DELETE", "/v1/apps/web?force=true")).status, 204);
    await eventually("the end of the download", () => (road.letGo === 1 ? true : undefined));
    assert.equal(statSync(part).size, 1_000);
    road.imageBytes = Infinity;
    await deploy(daemon, "again", script);
    await runsOf(daemon, "again");
    assert.equal(road.downloads, 2);
  },
);
