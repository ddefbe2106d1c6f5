/**
 * A fleet of the real programs on this machine: one zwrmd and several zwrm-agents whose machines are shell scripts,
 * looked at from outside.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import * as net from "node:net";
import { join } from "node:path";
import { LICENCE, TestAgent } from "../agent/test-agent.ts";
import { eventually, LICENSE_HASH, startDaemon } from "./daemon.ts";
import type { Owner, TestDaemon } from "./daemon.ts";
import { imageOf } from "./images.ts";
import { listAt, pick, textAt } from "./json.ts";
import type { Json } from "./json.ts";

/** On a machine that is slower than the contract's figures mean, all times of these tests are so many times as long. */
export const TIME_SCALE = Number(process.env["ZWRM_TEST_TIME_SCALE"] ?? "1");
const HASHES = `key_hashes = ["${LICENSE_HASH}", "${createHash("sha256").update(LICENCE).digest("hex")}"]`;
const RUNTIME = 'command = ["/bin/sh", "{image}"]\ncheck_command = ["{check}"]\nstop_grace = "5s"';

/**
 * A machine that serves once `gate` exists (at once without one): then its pid is in `up`. Asked to stop it serves no
 * more at once, and ends a moment later, so that whoever calls it gone too early is seen. Whatever becomes of the test,
 * it ends when its folder is gone.
 */
export function serverImage(name: string, gate: string | null = null): string {
  const wait = gate === null ? ":" : `while [ ! -e '${gate}' ]; do sleep 0.1; done`;
  return `# ${name}
trap 'rm -f up ready; sleep 0.3; exit 0' TERM
rm -f up ready
${wait}
echo $$ > up
while [ -d "$PWD" ]; do sleep 5 & wait $!; done
`;
}

/**
 * Run by the machine's agent in the machine's folder: where it passes, the agent finds the machine ready, and leaves a
 * mark of that.
 */
export const READY_CHECK: Json = {
  type: "exec",
  command: ["/bin/sh", "-c", "test -s up && : > ready"],
  interval_seconds: 0.5,
};

export interface FleetOptions {
  readonly hosts: number;
  readonly cpus?: number;
  /** TOML of `[hosts]`. */
  readonly liveness?: string;
}

/** The machines of a host as its agent's folder shows them. */
export interface Seen {
  /** Their first process lives and has served. */
  readonly alive: readonly string[];
  /** Of those, the ones that the agent runs, has found ready, and has not told to stop. */
  readonly ready: readonly string[];
}

const LEAVING: ReadonlySet<string> = new Set(["stopping", "stopped", "failed"]);

export class RealFleet {
  readonly daemon: TestDaemon;
  readonly agents: ReadonlyMap<string, TestAgent>;

  constructor(daemon: TestDaemon, agents: ReadonlyMap<string, TestAgent>) {
    this.daemon = daemon;
    this.agents = agents;
  }

  get hostIds(): string[] {
    return [...this.agents.keys()];
  }

  agent(hostId: string): TestAgent {
    const agent = this.agents.get(hostId);
    assert.ok(agent !== undefined, hostId);
    return agent;
  }

  /** The answer's body; it must have this status. */
  async ask(method: string, path: string, body?: Json, status = 200): Promise<Json> {
    const answer = await this.daemon.request(method, path, body === undefined ? {} : { body });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer.body.length === 0 ? null : answer.json;
  }

  /** Asks until `look` finds what it looks for; a daemon that is not there for a moment is asked again. */
  until<T>(what: string, path: string, look: (json: Json) => T | undefined, ms = 40_000): Promise<T> {
    const ask = async (): Promise<T | undefined> => {
      const answer = await this.daemon.request("GET", path).catch(() => null);
      return answer?.status === 200 ? look(answer.json) : undefined;
    };
    return eventually(what, ask, ms * TIME_SCALE);
  }

  hostIs(hostId: string, status: string): Promise<true> {
    return this.until(`${hostId} to be ${status}`, `/v1/hosts/${hostId}`, (host) =>
      pick(host, "status") === status ? true : undefined,
    );
  }

  /** Pushes a script and gives its digest. */
  async push(script: string): Promise<string> {
    const { digest, bytes } = imageOf(script);
    const answer = await this.daemon.request("PUT", `/v1/images/${digest}`, { body: bytes });
    assert.ok(answer.status === 201 || answer.status === 200, answer.text);
    return digest;
  }

  /** A new app with this deployment, all of it ready. That health lasts is asked for where that is what is tested. */
  async deploy(name: string, deployment: Record<string, Json>, ms = 40_000): Promise<void> {
    await this.ask("POST", "/v1/apps", { name }, 201);
    await this.ask("POST", `/v1/apps/${name}/deployments`, { min_healthy_seconds: 0, ...deployment }, 202);
    await this.until(
      `${name} to be deployed`,
      `/v1/apps/${name}/deployments`,
      (json) => (pick(json, "deployments.0.state") === "completed" ? true : undefined),
      ms,
    );
  }

  async machines(query = ""): Promise<Json[]> {
    return listAt(await this.ask("GET", `/v1/machines${query}`), "machines");
  }

  /** The machines of an app that have not ended. */
  async present(app: string): Promise<Json[]> {
    return (await this.machines(`?app_id=${app}`)).filter(
      (machine) => !["stopped", "failed"].includes(textAt(machine, "state")),
    );
  }

  /** Waits until `app` has so many machines, all ready and of nothing else; gives them. */
  settled(app: string, count: number): Promise<Json[]> {
    return this.until(`${count} ready machines of ${app}`, `/v1/machines?app_id=${app}`, (json) => {
      const present = listAt(json, "machines").filter(
        (machine) => !["stopped", "failed"].includes(textAt(machine, "state")),
      );
      return present.length === count && present.every((machine) => pick(machine, "ready") === true)
        ? present
        : undefined;
    });
  }

  /** Every machine process, as `host/machine`, sorted. */
  processes(): string[] {
    return [...this.agents].flatMap(([hostId, agent]) => agent.processes().map(({ id }) => `${hostId}/${id}`)).sort();
  }

  /** What a host's agent has in its folder now; works without the agent. */
  look(hostId: string): Seen {
    const folder = join(this.agent(hostId).folder, "state/machines");
    const alive = namesIn(folder).filter((id) => servesIn(join(folder, id)));
    // The record may be on its way to the disk while the report of a start is out; what is told to stop is not ready.
    const isReady = (path: string): boolean => isThere(join(path, "work/ready")) && !LEAVING.has(phaseIn(path) ?? "");
    return { alive, ready: alive.filter((id) => isReady(join(folder, id))) };
  }
}

/** A daemon and its agents, all online; `owner` ends everything. */
export async function startFleet(owner: Owner, { hosts, cpus = 4, liveness = "" }: FleetOptions): Promise<RealFleet> {
  const port = await freePort();
  const daemon = await startDaemon(
    { config: `[server]\nport = ${port}\n[license]\n${HASHES}\n[hosts]\n${liveness}` },
    owner,
  );
  const agents = new Map<string, TestAgent>();
  for (let n = 1; n <= hosts; n += 1) {
    const top = `host_id = "h-${n}"\ncapacity_cpus = ${cpus}\ncapacity_memory_mb = 8192`;
    agents.set(`h-${n}`, new TestAgent(daemon.url, owner, RUNTIME, top));
  }
  for (const agent of agents.values()) agent.start();
  const fleet = new RealFleet(daemon, agents);
  await fleet.until(`${hosts} hosts`, "/v1/hosts?status=active", (json) =>
    listAt(json, "hosts").length === hosts ? true : undefined,
  );
  return fleet;
}

/**
 * Below the ports that the kernel gives to clients: an agent that calls a daemon that is away must not take the
 * daemon's own.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = net.createServer();
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function namesIn(folder: string): string[] {
  return attempt(() => readdirSync(folder)) ?? [];
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Whether the machine of this folder has served and lives: the process that wrote `up` still works there. */
function servesIn(folder: string): boolean {
  const work = join(folder, "work");
  const pid = isThere(join(work, "up")) ? attempt(() => readFileSync(join(work, "up"), "utf8").trim()) : null;
  return pid !== null && pid !== "" && attempt(() => readlinkSync(`/proc/${pid}/cwd`)) === work;
}

/** The agent's own record of the machine. */
function phaseIn(folder: string): string | null {
  const text = attempt(() => readFileSync(join(folder, "machine.json"), "utf8"));
  return text === null ? null : textAt(JSON.parse(text) as Json, "phase");
}

/** Null where the file, folder or process is gone, which others may do at any time. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
