/**
 * The real zwrm-agent under test, in a folder of its own, with a control plane that the test drives; machines that are
 * left are ended with it.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DesiredMachine, MachineReport } from "../../src/wire/agents.ts";
import type { HeartbeatRequest, OwnRegistration } from "../../src/agent/loop-parts.ts";
import { MachineCgroups } from "../../src/agent/cgroups.ts";
import { readStat } from "../../src/agent/proc.ts";
import { systemCode } from "../../src/lib/errors.ts";
import { eventually, run } from "../support/daemon.ts";
import type { Owner, RunResult } from "../support/daemon.ts";

export const PROGRAM = fileURLToPath(new URL("../../dist/zwrm-agent.js", import.meta.url));
export const LICENCE = "a licence for agents";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Held {
  readonly hostId: string;
  readonly observed: string | undefined;
  readonly response: http.ServerResponse;
  readonly timer: NodeJS.Timeout;
}

/** As much of zwrmd as an agent sees. */
export class FakeControlPlane {
  readonly registrations: OwnRegistration[] = [];
  readonly beats: HeartbeatRequest[] = [];
  readonly keys = new Set<string>();
  readonly images = new Map<string, Buffer>();
  readonly deregistered: unknown[] = [];
  cluster = "c-1";
  intervalSeconds = 0.5;
  /** Whether hosts are known; a wiped control plane knows none until they register. */
  knows = false;
  #machines: DesiredMachine[] = [];
  #revision = 0;
  #held: Held[] = [];
  #server: http.Server | null = null;
  port = 0;

  async listen(): Promise<void> {
    const server = http.createServer((request, response) => void this.#serve(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
  }

  /** As killed: every connection breaks. */
  close(): void {
    for (const { timer } of this.#held.splice(0)) clearTimeout(timer);
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Adds an image and gives its digest. */
  image(content: string): string {
    const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    this.images.set(digest, Buffer.from(content));
    return digest;
  }

  /** What the host shall run from now on; held heartbeats are answered. */
  want(...machines: DesiredMachine[]): void {
    this.#machines = machines;
    this.#revision += 1;
    for (const held of this.#held.splice(0)) this.#release(held);
  }

  /** The newest word of the agent on a machine. */
  report(id: string): MachineReport | undefined {
    return this.beats.at(-1)?.machines.find((machine) => machine.id === id);
  }

  /** Waits until the agent reports so. */
  reported(what: string, is: (machines: readonly MachineReport[]) => boolean): Promise<true> {
    return eventually(what, () => (is(this.beats.at(-1)?.machines ?? []) ? true : undefined), 30_000);
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    assert.equal(request.headers.authorization, `Bearer ${createHash("sha256").update(LICENCE).digest("hex")}`);
    const [, , , kind, id = "", verb] = (request.url ?? "").split("/");
    if (kind === "images") {
      const bytes = this.images.get(decodeURIComponent(id));
      return void (bytes === undefined
        ? answer(response, 404, { error: "none", code: "image_not_found" })
        : response.writeHead(200, { "content-length": bytes.length }).end(bytes));
    }
    this.keys.add(String(request.headers["x-zwrm-host-key"]));
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const body: unknown = JSON.parse(Buffer.concat(parts).toString("utf8"));
    if (id === "register") {
      const facts = body as OwnRegistration;
      this.registrations.push(facts);
      this.knows = true;
      return answer(response, 200, {
        host: { id: facts.host_id },
        cluster_id: this.cluster,
        heartbeat_interval_seconds: this.intervalSeconds,
        offline_after_seconds: this.intervalSeconds * 3,
      });
    }
    if (!this.knows) return answer(response, 404, { error: "unknown", code: "host_not_registered" });
    if (verb === "deregister") return void (this.deregistered.push(body), answer(response, 200, {}));
    const beat = body as HeartbeatRequest;
    this.beats.push(beat);
    const held: Held = {
      hostId: id,
      observed: beat.observed_revision,
      response,
      timer: setTimeout(() => this.#release(held), beat.wait_seconds * 1_000),
    };
    if (beat.observed_revision === this.#name()) this.#held.push(held);
    else this.#release(held);
  }

  #release(held: Held): void {
    const { hostId, observed, response, timer } = held;
    clearTimeout(timer);
    this.#held = this.#held.filter((other) => other !== held);
    const head = { host_id: hostId, cluster_id: this.cluster, status: "active", revision: this.#name() };
    answer(response, 200, observed === this.#name() ? head : { ...head, machines: this.#machines });
  }

  #name(): string {
    return `${this.cluster}/${this.#revision}`;
  }
}

function answer(response: http.ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

export class TestAgent {
  readonly folder = mkdtempSync(join(tmpdir(), "zwrm-agent-"));
  readonly configFile = join(this.folder, "agent.toml");
  #child: ChildProcess | null = null;
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  output = "";
  /** What runs the program with its words, where that is not to be done at once. */
  wrapper: readonly string[] = [];

  /** `runtime` is TOML for that section. */
  constructor(url: string, owner: Owner, runtime = 'command = ["/bin/sh", "{image}"]', top = "") {
    const lines = [
      `control_plane_url = "${url}"`,
      `license_key = "${LICENCE}"`,
      `state_dir = "${this.folder}/state"`,
      `image_cache_dir = "${this.folder}/images"`,
      top,
      "[runtime]",
      runtime,
    ];
    writeFileSync(this.configFile, `${lines.join("\n")}\n`, { mode: 0o600 });
    owner.after(() => this.close());
  }

  start(...args: readonly string[]): void {
    assert.ok(existsSync(PROGRAM), `${PROGRAM} is missing: run "npm run build" first`);
    const [command = "", ...words] = [...this.wrapper, process.execPath, PROGRAM, "--config", this.configFile, ...args];
    const env = { PATH: process.env["PATH"] ?? "" };
    const child = spawn(command, words, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (part: Buffer) => (this.output += part.toString("utf8")));
    this.#exit = new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
    this.#child?.kill(signal);
    return this.#exit;
  }

  exited(): Promise<Exit> {
    return this.#exit;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Another run of the program beside it, to its end. */
  command(...args: readonly string[]): Promise<RunResult> {
    return run(process.execPath, [PROGRAM, ...args, "--config", this.configFile]);
  }

  /**
   * What runs as this agent's machines: the pids of their first processes by machine. Those lead a session of their
   * own. What a first process starts bears the same words between its fork and its exec: a look at that moment sees it,
   * and a later one does not.
   */
  processes(): { readonly pid: number; readonly id: string }[] {
    const prefix = `zwrm-machine\0${this.folder}/state/machines/`;
    return readdirSync("/proc").flatMap((pid) => {
      const text = readProcess(pid);
      const at = text.indexOf(prefix);
      // Between a fork and its exec what the first process begins has the same words, but leads no session.
      if (at === -1 || readStat(Number(pid))?.session !== Number(pid)) return [];
      return [{ pid: Number(pid), id: text.slice(at + prefix.length).split("\0")[0] ?? "" }];
    });
  }

  /** All that its machines have started, whatever the agent knows of it. */
  marked(): number[] {
    const mark = `\0ZWRM_MACHINE_DIR=${this.folder}/state/machines/`;
    return readdirSync("/proc")
      .filter((pid) => `\0${readProcess(pid, "environ")}`.includes(mark))
      .map(Number);
  }

  async close(): Promise<void> {
    await this.stop("SIGKILL");
    await eventually("the end of its machines", () => {
      const left = this.marked();
      for (const pid of left) kill(pid);
      return left.length === 0 ? true : undefined;
    });
    new MachineCgroups(`${this.folder}/state/machines`).populated();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Of one that has gone meanwhile nothing is left to kill. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (systemCode(error) !== "ESRCH") throw error;
  }
}

function readProcess(pid: string, file: "cmdline" | "environ" = "cmdline"): string {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/${file}`, "utf8") : "";
  } catch {
    return "";
  }
}
