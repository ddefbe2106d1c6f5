/**
 * Apps on hosts without journal or clock: events happen, steps are taken until there is none, and agents do as they are
 * told, one tick at a time.
 */
import assert from "node:assert/strict";
import { Allocations } from "../../src/fleet/allocations.ts";
import { computeDesired } from "../../src/fleet/desired.ts";
import { drainRows } from "../../src/fleet/drain-rows.ts";
import type { AppId, MachineId } from "../../src/lib/id-types.ts";
import type { DrainRow } from "../../src/wire/hosts.ts";
import { getDrain, planDrain } from "../../src/fleet/drain.ts";
import { runningDrain } from "../../src/fleet/drain-terms.ts";
import type { ReportedMachine } from "../../src/wire/agents.ts";
import { decideHeard } from "../../src/fleet/heartbeat.ts";
import type { Strategy } from "../../src/fleet/placement.ts";
import type { PlanScene } from "../../src/fleet/plan/scene.ts";
import { nextStep } from "../../src/fleet/plan/next-step.ts";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { Elapsed } from "../../src/lib/elapsed.ts";
import type { Event, Recorded } from "../../src/state/events.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { reduce } from "../../src/state/reducers.ts";
import { State } from "../../src/state/state.ts";
import type { Capacity, Deployment, Drain, HostFacts, Machine } from "../../src/state/types.ts";
import { START_WALL } from "../support/clock.ts";
import { idOf, withIds } from "../support/ids.ts";
import type { Plain, Told } from "../support/ids.ts";
import { CAPACITY, factsOf, hostOf, machineOf, workloadOf } from "../support/rows.ts";

export const APP = "web";

/** What becomes of a machine at its agent; the tick after, it is told. */
export type Fate = "runs" | "fails" | "hangs" | "unready" | "ends" | "restarts";

/** What an agent has of one machine. */
interface Local {
  state: ReportedMachine["state"];
  ready: boolean;
  exit_code: number | undefined;
}

export class Stage {
  readonly state = new State();
  readonly events: Event[] = [];
  strategy: Strategy = "spread";
  /** Wall time; `wait` and `tick` let time pass, a test that changes this alone sets the clock. */
  now = START_WALL;
  #mono = 0;
  readonly #elapsed = new Elapsed({ wall: () => this.now, mono: () => this.#mono, after: () => () => undefined });
  /** Decides what becomes of a machine that is started; by default it runs and is ready. */
  fate: (machine: Machine) => Fate = () => "runs";
  /** Whether a host's agent misses this tick. */
  isLate: (hostId: string) => boolean = () => false;
  /** Hosts whose agents say and do nothing. */
  readonly silent = new Set<string>();
  /** Hosts whose machines take no notice when told to stop. */
  readonly stubborn = new Set<string>();
  readonly #locals = new Map<string, Map<string, Local>>();
  readonly #reported = new Map<string, number>();
  readonly #allocations = new Allocations();
  #made = 0;

  do(...events: Told[]): this {
    for (const event of events.map((one) => withIds<Event>(one))) {
      this.events.push(event);
      reduce(this.state, { ...event, seq: this.events.length, at: toRfc3339(this.now), actor: SYSTEM } as Recorded);
    }
    return this;
  }

  host(id: string, more: Partial<HostFacts> & { capacity?: Partial<Capacity> } = {}): this {
    const { capacity, ...facts } = more;
    const data = {
      host_id: id,
      facts: factsOf(id, facts),
      capacity: { ...CAPACITY, ...capacity },
      key_hash: null,
      mode: "active",
      mode_reason: null,
    } as const;
    return this.do({ type: "host.registered", data });
  }

  hosts(...ids: string[]): this {
    for (const id of ids) this.host(id);
    return this;
  }

  deploy(id: string, replicas: number, more: Partial<Plain<Deployment>> = {}, appId: string = APP): this {
    if (this.state.apps.find(appId) === undefined)
      this.do({ type: "app.created", data: { app_id: appId, org_id: "o_1", name: appId, idempotency: null } });
    const {
      state: _state,
      reason: _reason,
      created_at: _created,
      asked_at: _asked,
      finished_at: _finished,
      last_failure: _last,
      ...given
    } = more;
    return this.do({
      type: "deployment.created",
      data: {
        deployment: { id, app_id: appId, org_id: "o_1", replicas, ...workloadOf(), ...given },
        idempotency: null,
      },
    });
  }

  scale(replicas: number, deploymentId = this.state.apps.get(idOf(APP))?.deployment_id ?? ""): this {
    return this.do({ type: "deployment.scaled", data: { deployment_id: deploymentId, replicas, idempotency: null } });
  }

  drain(hostId: string, more: { max_parallel?: number; deadline_at?: string | null; force?: boolean } = {}): this {
    const machineIds = this.state.machines
      .group(idOf(idOf(hostId)))
      .filter(({ state }) => state !== "stopped" && state !== "failed")
      .map(({ id }) => id)
      .sort();
    return this.do({
      type: "host.drain_started",
      data: {
        host_id: hostId,
        max_parallel: 2,
        deadline_at: null,
        force: false,
        reason: null,
        machine_ids: machineIds,
        ...more,
      },
    });
  }

  undrain(hostId: string): this {
    return this.do({ type: "host.drain_finished", data: { host_id: hostId, state: "cancelled", mode: "active" } });
  }

  lose(...ids: string[]): this {
    for (const id of ids) this.silent.add(id);
    return this.do({ type: "host.lost", data: { host_ids: ids, held_host_ids: [], replace_after: null } });
  }

  loseInStorm(...ids: string[]): this {
    for (const id of ids) this.silent.add(id);
    return this.do({ type: "host.lost", data: { host_ids: ids, held_host_ids: ids, replace_after: null } });
  }

  /** The host is heard again with its next beat. */
  find(...ids: string[]): this {
    for (const id of ids) this.silent.delete(id);
    return this;
  }

  get scene(): PlanScene {
    const newMachineId = (): MachineId => idOf(`m-${String(++this.#made).padStart(3, "0")}`);
    const allocated: PlanScene["allocated"] = (hostId) => this.#allocations.of(this.state, hostId);
    return {
      state: this.state,
      strategy: this.strategy,
      now: this.now,
      since: this.#elapsed.since,
      newMachineId,
      allocated,
    };
  }

  /**
   * Steps of every app until there is none; a plan that never comes to rest is an endless stream of events in the log.
   */
  settle(): this {
    for (let steps = 0; steps < 2_000; steps++) {
      const events = [...this.state.apps.values()].flatMap((app) => this.#next(app.id));
      const drains = [...this.state.drains.values()].flatMap((drain) => this.#nextOfDrain(drain));
      if (events.length === 0 && drains.length === 0) return this;
    }
    assert.fail(`never at rest: ${JSON.stringify(this.events.slice(-6))}`);
  }

  #next(appId: AppId): Event[] {
    const app = this.state.apps.get(appId);
    const events = app === undefined ? [] : [...nextStep(this.scene, app).events];
    this.do(...events);
    return events;
  }

  #nextOfDrain({ host_id: hostId }: Drain): Event[] {
    const host = this.state.hosts.get(hostId);
    const drain = runningDrain(this.state, hostId);
    const event =
      host === undefined || drain === null
        ? null
        : planDrain(this.state, host, drain, this.#reported.get(hostId) ?? null, this.#elapsed.since);
    if (event === null) return [];
    this.do(event);
    if (event.type === "host.drain_finished" && event.data.state === "completed")
      assert.deepEqual(
        this.liveOn(hostId),
        [],
        `the drain of ${hostId} is called completed while its agent has machines`,
      );
    return [event];
  }

  /** Time passes, and nobody does anything. */
  wait(ms: number): this {
    this.now += ms;
    this.#mono += ms;
    return this;
  }

  /**
   * Time passes, every agent that is heard does one thing with each of its machines and tells, and the apps move on.
   */
  tick(ms = 1_000): this {
    this.wait(ms);
    for (const id of [...this.state.hosts.keys()].sort()) if (!this.silent.has(id) && !this.isLate(id)) this.#beat(id);
    return this.settle();
  }

  ticks(count: number, ms = 1_000): this {
    for (let i = 0; i < count; i++) this.tick(ms);
    return this;
  }

  #beat(hostId: string): void {
    const locals = this.#locals.get(hostId) ?? new Map<string, Local>();
    this.#locals.set(hostId, locals);
    const { machines } = computeDesired(this.state, this.state.machines.group(idOf(hostId)));
    const wanted = new Map(machines.map((machine) => [machine.id, machine.desired_state]));
    for (const [id, local] of locals) {
      if (local.state === "stopped" || local.state === "failed") {
        if (!wanted.has(id)) locals.delete(id);
      } else if (wanted.get(id) === "running") this.#moveOn(machineOf(this.state, id), local);
      else if (!this.stubborn.has(hostId)) local.state = local.state === "stopping" ? "stopped" : "stopping";
    }
    for (const [id, desired] of wanted)
      if (!locals.has(id) && desired === "running")
        locals.set(id, { state: "starting", ready: false, exit_code: undefined });
    const reports = [...locals].map(([id, { state, ready, exit_code }]) => ({
      id: idOf<MachineId>(id),
      state,
      ready: state === "running" && ready,
      exit_code,
      reason: undefined,
      started_at: undefined,
    }));
    this.#reported.set(hostId, reports.length);
    const event = decideHeard(this.state, hostOf(this.state, hostId), { key: null, machines: reports, current: true });
    if (event !== null) this.do(event);
  }

  #moveOn(machine: Machine, local: Local): void {
    const fate = this.fate(machine);
    if (fate === "hangs") return;
    if (fate === "fails") Object.assign(local, { state: "failed", exit_code: 1 });
    else if (fate === "restarts") Object.assign(local, { state: "starting", ready: false, exit_code: 1 });
    else if (fate === "ends") Object.assign(local, { state: "stopped", exit_code: 0 });
    else Object.assign(local, { state: "running", ready: fate === "runs" });
  }

  /** A machine dies of itself, and its agent gives it up. */
  crash(id: string): this {
    const local = this.#locals.get(machineOf(this.state, id).host_id ?? "")?.get(id);
    assert.ok(local !== undefined, `${id} runs nowhere`);
    Object.assign(local, { state: "failed", exit_code: 1 });
    return this;
  }

  /** What has not ended on the host, by its agent's own view. */
  liveOn(hostId: string): string[] {
    return [...(this.#locals.get(hostId) ?? [])]
      .filter(([, { state }]) => state !== "stopped" && state !== "failed")
      .map(([id]) => id);
  }

  /** Machines that really run, whatever the state thinks: by the agents' own view. */
  running(appId = APP): string[] {
    const own = [...this.#locals.values()].flatMap((locals) =>
      [...locals].filter(([, { state }]) => state === "running" || state === "stopping").map(([id]) => id),
    );
    return own.filter((id) => this.state.machines.find(id)?.app_id === appId).sort();
  }

  /** Machines of the app that are ready, by the agents' own view. */
  ready(appId = APP): string[] {
    const own = [...this.#locals.values()].flatMap((locals) =>
      [...locals].filter(([, { state, ready }]) => state === "running" && ready).map(([id]) => id),
    );
    return own.filter((id) => this.state.machines.find(id)?.app_id === appId).sort();
  }

  machine(id: string): Machine {
    return machineOf(this.state, id);
  }

  /** Members of the app (not on their way out) as `id@host state`. */
  members(appId = APP): string[] {
    return this.state
      .machinesOf(idOf(appId))
      .filter(({ removing }) => !removing)
      .map(({ id, host_id, state }) => `${id}@${host_id ?? "-"} ${state}`)
      .sort();
  }

  deployment(id: string): Deployment {
    const deployment = this.state.deployments.find(id);
    assert.ok(deployment !== undefined, `no deployment ${id}`);
    return deployment;
  }

  rows(hostId: string): DrainRow[] {
    return drainRows(this.scene, hostOf(this.state, hostId), getDrain(this.state, idOf(hostId)));
  }

  drainState(hostId: string): string {
    return getDrain(this.state, idOf(hostId)).state;
  }

  /** How often an event of that type happened. */
  count(type: Event["type"]): number {
    return this.events.filter((event) => event.type === type).length;
  }
}
