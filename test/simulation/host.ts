/**
 * One host: what outlives its agent (machines, records, images, its key), and the agent's real code, started and ended
 * at any moment.
 */
import type { ControlPlane, HeartbeatRequest, OwnRegistration } from "../../src/agent/loop-parts.ts";
import { Loop } from "../../src/agent/loop.ts";
import { Machines } from "../../src/agent/machines.ts";
import type { DesiredMachine, HeartbeatAnswer, RegisterAnswer } from "../../src/wire/agents.ts";
import { HEARTBEAT_ANSWER, REGISTERED } from "../../src/wire/agents.ts";
import { ClientError } from "../../src/client/errors.ts";
import { newId, newUuid } from "../../src/lib/ids.ts";
import type { Log } from "../../src/lib/log.ts";
import type { Schema } from "../../src/wire/schema.ts";
import { anything } from "../../src/wire/schema.ts";
import type { Capacity } from "../../src/state/types.ts";
import { FakeMembership, MemoryStore } from "../agent/fakes.ts";
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";
import { ProcessClock } from "./clock.ts";
import type { Answer, Control } from "./control.ts";
import { STOP_GRACE_MS } from "./images.ts";
import type { Network } from "./network.ts";
import type { Witness } from "./runtime.ts";
import { SimChecks, SimImages, SimRuntime } from "./runtime.ts";
import type { Trace } from "./trace.ts";

/** As the agent's own client, settings and agent.ts have them. */
const PATIENCE_MS = 8_000;
const DEREGISTER_TRIES = 3;
const STALE_MS = 30_000;

export interface Surroundings {
  readonly time: SimClock;
  readonly network: Network;
  readonly control: Control;
  readonly trace: Trace;
  readonly witness: Witness;
}

export interface HostShape {
  readonly id: string;
  readonly region: string;
  readonly capacity: Capacity;
}

interface Process {
  readonly clock: ProcessClock;
  readonly loop: Loop;
  readonly machines: Machines;
  readonly control: SimControlPlane;
}

export class SimHost {
  readonly shape: HostShape;
  readonly runtime: SimRuntime;
  readonly #around: Surroundings;
  readonly #chance: Chance;
  readonly #store = new MemoryStore();
  readonly #membership = new FakeMembership();
  readonly #images = new Set<string>();
  readonly #key: string;
  #lastList: { readonly clusterId: string; readonly machines: readonly DesiredMachine[] } | null = null;
  #process: Process | null = null;
  /** Heartbeats that it has sent. */
  beats = 0;
  /** It was told that it is registered. */
  isKnown = false;
  /** The machines of the last list that it took. */
  lastTaken: readonly string[] = [];
  /** Since when it is heard and nothing disturbs it; Infinity while something does. */
  heardSince = Infinity;
  #disturbedAt = 0;
  /** It has asked to leave the list, or has left it. */
  #isLeaving = false;
  /** It left the list, and was not started again. */
  hasLeft = false;
  /** Its newest beats that reached the daemon's process, which may be paused. */
  #arrived: readonly { readonly sentAt: number; readonly at: number }[] = [];

  constructor(shape: HostShape, around: Surroundings, chance: Chance) {
    this.shape = shape;
    this.#around = around;
    this.#chance = chance;
    this.runtime = new SimRuntime(shape.id, around.time, chance.of("runtime"), around.witness);
    this.#key = newId("key") + newId("key");
  }

  get id(): string {
    return this.shape.id;
  }

  get isUp(): boolean {
    return this.#process !== null;
  }

  /** Something happened to it, to its way to the daemon, or to the daemon. */
  disturb(): void {
    this.#disturbedAt = this.#around.time.now;
    this.heardSince = Infinity;
  }

  /** As agent.ts does it. */
  start(): void {
    if (this.#process !== null) return;
    this.hasLeft = false;
    this.#isLeaving = false;
    const { time, trace } = this.#around;
    const clock = new ProcessClock(time, this.#chance.whole(-3_000, 3_000));
    const machines = new Machines({
      clock,
      log: QUIET,
      runtime: this.runtime,
      images: new SimImages(clock, this.#chance.of("images"), this.#images),
      checks: new SimChecks(this.runtime, clock, time, this.#chance.of("checks")),
      store: this.#store,
      newLaunchId: () => newId("l"),
      room: this.shape.capacity,
      stopGraceMs: STOP_GRACE_MS,
      staleMs: STALE_MS,
    });
    const control = new SimControlPlane(this.id, this.#key, this.#around, clock, (beat) => this.#observe(beat));
    const workload = {
      report: () => machines.report(),
      take: (list: readonly DesiredMachine[]) => {
        this.lastTaken = list.map(({ id }) => id);
        const words = list.map(({ id, desired_state }) => (desired_state === "running" ? id : `${id} to stop`));
        trace.note(this.id, `takes ${words.join(", ")}`);
        if (this.#membership.clusterId !== null)
          this.#lastList = { clusterId: this.#membership.clusterId, machines: list };
        machines.take(list);
      },
    };
    const loop = new Loop({
      clock,
      log: QUIET,
      control,
      membership: this.#membership,
      workload,
      facts: () => this.#facts(),
      usage: () => undefined,
      bootId: newUuid(),
      chance: () => this.#chance.fraction(),
    });
    const process = { clock, loop, machines, control };
    this.#process = process;
    trace.note(this.id, "agent starts");
    const list = this.#lastList?.clusterId === this.#membership.clusterId ? (this.#lastList?.machines ?? null) : null;
    void machines.load(list).then(() => {
      if (this.#process !== process) return;
      machines.onChange(() => loop.notify());
      loop.start();
    });
  }

  /** The agent ends, told to or killed: either way its machines go on, and its connections close. */
  stop(): void {
    const process = this.#process;
    if (process === null) return;
    this.#process = null;
    this.disturb();
    process.clock.end();
    process.loop.stop();
    void process.machines.close();
    process.control.close();
    this.runtime.abandon();
    this.#around.trace.note(this.id, "agent ends");
  }

  /**
   * With --deregister-on-exit, as agent.ts does it: leaves the list, stops its machines, and ends; where it cannot
   * leave, machines go on.
   */
  async leave(): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    process.loop.stop();
    this.disturb();
    // From here on nobody here knows whether it is in the list.
    this.isKnown = false;
    this.#isLeaving = true;
    this.#around.trace.note(this.id, "wants to leave");
    const isOver = (): boolean => this.#process !== process;
    for (let tries = 1; tries <= DEREGISTER_TRIES && !isOver(); tries += 1) {
      const left = await process.loop.deregister("simulated").then(
        () => true,
        () => false,
      );
      if (isOver()) return;
      if (left) {
        this.hasLeft = true;
        this.#around.trace.note(this.id, "has left");
        if (this.#membership.clusterId !== null)
          this.#lastList = { clusterId: this.#membership.clusterId, machines: [] };
        await process.machines.stopAll();
        break;
      }
      await new Promise<void>((resolve) => void process.clock.after(1_000, resolve));
    }
    if (!isOver()) this.stop();
  }

  /** The power fails: the agent and every machine are gone. */
  reboot(): void {
    this.stop();
    this.runtime.reboot();
    this.#around.trace.note(this.id, "power fails");
  }

  /** When the newest beat was sent that had reached the daemon's process by `time`. */
  spokeBy(time: number): number {
    return Math.max(-Infinity, ...this.#arrived.filter(({ at }) => at <= time).map(({ sentAt }) => sentAt));
  }

  /** A call that began at `sentAt`, or its answer. */
  #observe({ type, sentAt }: Call): void {
    if (type === "beat") this.beats += 1;
    if (type === "arrived") this.#arrived = [...this.#arrived.slice(-7), { sentAt, at: this.#around.time.now }];
    const { network, time, control } = this.#around;
    // What it asked before it left may be answered after.
    if (type === "registered") this.isKnown = !control.isUnsure && !this.#isLeaving;
    if (
      type === "answered" &&
      this.heardSince === Infinity &&
      sentAt >= this.#disturbedAt &&
      network.isFair(this.id) &&
      control.isWell
    )
      this.heardSince = time.now;
  }

  #facts(): OwnRegistration {
    const { id, region, capacity } = this.shape;
    return { host_id: id, hostname: id, region, datacenter: "default", capacity, agent_version: "0", labels: {} };
  }
}

interface Call {
  readonly type: "beat" | "arrived" | "answered" | "registered";
  readonly sentAt: number;
}

const QUIET: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The three calls over the simulated network, with the times that the real client gives them. */
class SimControlPlane implements ControlPlane {
  readonly #hostId: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #around: Surroundings;
  readonly #clock: ProcessClock;
  readonly #observe: (call: Call) => void;
  /** Ways to tell the daemon that this end has gone. */
  readonly #open = new Set<() => void>();

  constructor(hostId: string, key: string, around: Surroundings, clock: ProcessClock, observe: (call: Call) => void) {
    this.#hostId = hostId;
    this.#headers = { "x-zwrm-host-key": key };
    this.#around = around;
    this.#clock = clock;
    this.#observe = observe;
  }

  async register(request: OwnRegistration): Promise<RegisterAnswer> {
    const sentAt = this.#around.time.now;
    this.#around.trace.note(this.#hostId, "registers");
    const answer = await this.#call("/v1/internal/hosts/register", request, PATIENCE_MS, REGISTERED);
    this.#observe({ type: "registered", sentAt });
    return answer;
  }

  async heartbeat(hostId: string, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    const sentAt = this.#around.time.now;
    this.#observe({ type: "beat", sentAt });
    const told = request.machines
      .map(({ id, state, ready }) => `${id}:${state}${ready === undefined ? "" : ready ? "+" : "-"}`)
      .join(" ");
    this.#around.trace.note(
      this.#hostId,
      `beats ${request.beat} on ${request.observed_revision?.slice(0, 6) ?? "nothing"} ${told}`,
    );
    const answer = await this.#call(
      `/v1/internal/hosts/${hostId}/heartbeat`,
      request,
      request.wait_seconds * 1000 + PATIENCE_MS,
      HEARTBEAT_ANSWER,
      () => this.#observe({ type: "arrived", sentAt }),
    );
    this.#observe({ type: "answered", sentAt });
    return answer;
  }

  async deregister(hostId: string, reason: string): Promise<void> {
    await this.#call(`/v1/internal/hosts/${hostId}/deregister`, { reason }, PATIENCE_MS, anything);
  }

  /** The process is gone, and its sockets with it. */
  close(): void {
    for (const leave of [...this.#open]) leave();
  }

  #call<T>(
    path: string,
    body: unknown,
    timeoutMs: number,
    schema: Schema<T, unknown>,
    arrived: () => void = () => undefined,
  ): Promise<T> {
    const { network, control } = this.#around;
    const request = { method: "POST", path, body: JSON.stringify(body), headers: this.#headers, hostId: this.#hostId };
    return new Promise((resolve, reject) => {
      const hangUps: (() => void)[] = [];
      const leave = (): void => {
        if (this.#open.delete(leave) && hangUps.length > 0)
          network.send(this.#hostId, "up", () => hangUps.forEach((hangUp) => hangUp()));
      };
      const cancel = this.#clock.after(timeoutMs, () => {
        leave();
        reject(new ClientError("timeout", "no answer in time"));
      });
      const take = (answer: Answer): void => {
        if (!this.#open.delete(leave)) return;
        cancel();
        try {
          resolve(understand(answer, schema));
        } catch (error) {
          reject(error);
        }
      };
      this.#open.add(leave);
      network.send(this.#hostId, "up", () => {
        if (control.isUp) arrived();
        hangUps.push(control.serve(request, (answer) => network.send(this.#hostId, "down", () => take(answer))));
      });
    });
  }
}

/** As the agent's client reads an answer. */
export function understand<T>(answer: Answer, schema: Schema<T, unknown>): T {
  if (answer.kind !== "answer")
    throw new ClientError(answer.kind === "refused" ? "unreachable" : "closed", "the call got no answer");
  const body: unknown = answer.text === "" ? undefined : JSON.parse(answer.text);
  if (answer.status < 300) return schema.read(body);
  const { code = "none", error = "" } = body as { readonly code?: string; readonly error?: string };
  throw new ClientError(code, error, { status: answer.status, retryAfterSeconds: answer.status === 503 ? 1 : null });
}
