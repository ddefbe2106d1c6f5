/**
 * What must hold at every moment of a simulated world, whatever happens to it: each check throws a Violation that says
 * what and about whom.
 */
import type { HostId } from "../../src/lib/id-types.ts";
import type { DrainView } from "../../src/wire/hosts.ts";
import type { EventData, Recorded } from "../../src/state/events.ts";
import { CLUSTER_KEY } from "../../src/state/state.ts";
import type { State } from "../../src/state/state.ts";
import { holdsCapacity } from "../../src/state/workload-reducers.ts";
import { idOf } from "../support/ids.ts";
import type { SimClock } from "./clock.ts";
import { clockText } from "./trace.ts";
import type { Commands } from "./commands.ts";
import type { Control } from "./control.ts";
import { OFFLINE_AFTER_MS } from "./control.ts";
import type { Copies } from "./copies.ts";
import { Violation } from "./copies.ts";
import type { SimHost } from "./host.ts";
import { Service } from "./service.ts";

/**
 * A drain whose rows stand still for so long has to say why, row by row. Longer than any start, stop, deadline or round
 * of the simulation.
 */
const STILL_MS = 240_000;
/**
 * Early beats: one a second on average, a few at once; beside those the regular ones, and those that failed and are
 * tried again.
 */
const BEATS_A_MINUTE = 60 + 5 + 6 + 20;

/** New machines of an app in a minute, beside so many for each replica: more is a storm, however it came about. */
const MACHINES_A_MINUTE = 100;
/** 1 s doubling to 30 s gives seven starts a minute. */
const MACHINES_A_REPLICA = 8;
const MINUTE_MS = 60_000;
/** Times are written in whole milliseconds. */
const ROUNDED_MS = 2;

interface Stand {
  readonly rows: string;
  readonly since: number;
}

export class Invariants {
  readonly #time: SimClock;
  readonly #control: Control;
  readonly #copies: Copies;
  readonly #commands: Commands;
  readonly #hosts: ReadonlyMap<string, SimHost>;
  readonly #drains = new Map<string, Stand>();
  /** When each host fell silent last, and whether an operator has given it up since. */
  readonly #lost = new Map<string, number>();
  readonly #allowed = new Set<string>();
  readonly #beats = new Map<string, number>();
  /** When each app's newest machines were made, and of how many replicas it was to be then. */
  readonly #made = new Map<string, { readonly at: number; readonly replicas: number }[]>();
  readonly #service: Service;
  #clusterId: string | null = null;

  constructor(
    time: SimClock,
    control: Control,
    copies: Copies,
    commands: Commands,
    hosts: ReadonlyMap<string, SimHost>,
  ) {
    this.#time = time;
    this.#control = control;
    this.#copies = copies;
    this.#commands = commands;
    this.#hosts = hosts;
    this.#service = new Service((at) => control.timeOf(at));
  }

  /** Lines that are on disk now. */
  durable(events: readonly Recorded[]): void {
    const { state } = this.#control;
    if (state === null) return;
    for (const event of events) {
      this.#service.take(event);
      if (event.type === "machine.created" || event.type === "machine.placed")
        this.#checkRoom(state, event.data.host_id);
      if (event.type === "machine.created") this.#checkStorm(state, event.data);
      if (event.type === "machine.created") this.#checkChurn(state, event.data.machine.app_id);
      if (event.type === "machine.removed") this.#checkReplaced(state, event.data.machine_ids, event.data.reason);
      if (event.type === "host.drain_finished" && event.data.state === "completed")
        this.#checkEmpty(event.data.host_id);
      if (event.type === "host.replacement_allowed") for (const id of event.data.host_ids) this.#allowed.add(id);
      if (event.type === "host.lost") this.#noteLost(event.data.host_ids, this.#control.timeOf(event.at));
    }
  }

  /** The daemon has started and replayed its log. */
  restored(state: State): void {
    this.#service.restore(state);
    const clusterId = state.cluster.get(CLUSTER_KEY)?.id ?? null;
    if (this.#clusterId !== null && clusterId !== this.#clusterId)
      throw new Violation(`the cluster was ${this.#clusterId} and is ${clusterId ?? "none"} after a restart`, [
        "daemon",
      ]);
    this.#clusterId = clusterId;
    const [lost] = this.#commands.lost(state);
    if (lost !== undefined) throw new Violation(`after a restart: ${lost}`, ["daemon", "operator"]);
    for (const { id, isKnown, lastTaken } of this.#hosts.values()) {
      if (isKnown && state.hosts.get(idOf(id)) === undefined)
        throw new Violation(`after a restart: host ${id} was registered and is not in the list`, [id, "daemon"]);
      const gone = lastTaken.find((machineId) => state.machines.get(idOf(machineId)) === undefined);
      if (gone !== undefined)
        throw new Violation(`after a restart: machine ${gone} was given to ${id} to run and is not known`, [
          id,
          gone,
          "daemon",
        ]);
    }
  }

  /** Every few seconds. */
  check(): void {
    const { state } = this.#control;
    if (state === null) return;
    this.#copies.check(state);
    for (const { id } of this.#hosts.values())
      if (state.machines.groupVersion(idOf(id)) !== 0) this.#checkRoom(state, idOf(id));
    for (const drain of state.drains.values()) if (drain.state === "draining") this.#checkDrain(drain.host_id);
  }

  /** Every minute. */
  checkBeats(): void {
    for (const { id, beats } of this.#hosts.values()) {
      const sent = beats - (this.#beats.get(id) ?? 0);
      this.#beats.set(id, beats);
      if (sent > BEATS_A_MINUTE) throw new Violation(`${id} sent ${sent} heartbeats in a minute`, [id]);
    }
  }

  #checkRoom(state: State, hostId: HostId | null): void {
    const host = state.hosts.get(hostId);
    if (host === undefined) return;
    const sum = { cpus: 0, memory_mb: 0 };
    for (const machine of state.machines.group(host.id)) {
      if (!holdsCapacity(machine)) continue;
      sum.cpus += machine.cpus;
      sum.memory_mb += machine.memory_mb;
    }
    if (sum.cpus <= host.capacity.cpus && sum.memory_mb <= host.capacity.memory_mb) return;
    throw new Violation(
      `${host.id} was given machines of ${sum.cpus} cpus and ${sum.memory_mb} MiB and has ` +
        `${host.capacity.cpus} and ${host.capacity.memory_mb}`,
      [host.id],
    );
  }

  /**
   * Nobody is called offline who spoke within offline_after, also where the daemon was paused and had not read it yet.
   */
  #noteLost(hostIds: readonly string[], decidedAt: number): void {
    for (const id of hostIds) {
      const silentMs = decidedAt - (this.#hosts.get(id)?.spokeBy(decidedAt) ?? -Infinity);
      if (silentMs < OFFLINE_AFTER_MS - ROUNDED_MS)
        throw new Violation(
          `${id} is called offline ${Math.round(silentMs)} ms after it sent a beat that the daemon had`,
          [id, "daemon"],
        );
      this.#lost.set(id, this.#time.now);
      this.#allowed.delete(id);
    }
  }

  /**
   * Where more than a third of the hosts (and more than 3) fell silent within one offline_after, nothing of theirs is
   * replaced without an operator's word.
   */
  #checkStorm(state: State, { machine, replaces }: EventData["machine.created"]): void {
    const original = state.machines.get(replaces);
    const host = state.hosts.get(original?.host_id ?? null);
    // One of another deployment is replaced for that.
    if (original?.state !== "unknown" || host?.health !== "offline" || original.deployment_id !== machine.deployment_id)
      return;
    if (original.on_host_loss === "wait" || original.restart === "never")
      throw new Violation(`${original.id} is replaced, though it is to wait for its host`, [original.id, host.id]);
    const at = this.#lost.get(host.id) ?? 0;
    const silent = [...this.#lost]
      .filter(([id]) => {
        const lost = state.hosts.get(idOf(id));
        return lost?.health === "offline" && lost.ever_assigned;
      })
      .map(([, since]) => since);
    // Each stretch of that length that begins with a host's silence and has this host's in it.
    const stretches = silent
      .filter((from) => from <= at && at - from < OFFLINE_AFTER_MS)
      .map((from) => silent.filter((since) => since >= from && since - from < OFFLINE_AFTER_MS).length);
    const together = Math.max(0, ...stretches);
    // Hosts that never had a machine have nothing that could be replaced, and count on neither side.
    const counting = [...state.hosts.values()].filter((each) => each.ever_assigned).length;
    const most = Math.max(3, counting / 3);
    if (this.#allowed.has(host.id) || together <= most) return;
    const what =
      `a storm: machines of ${host.id} are replaced, though ${together} of ${counting} ` +
      `hosts fell silent with it within ${OFFLINE_AFTER_MS / 1000} s, and no operator gave them ` +
      "up";
    throw new Violation(what, [host.id, original.id, "operator"]);
  }

  /** Machines are not made and given up by the hundred: each costs lines of the log and a row for a day. */
  #checkChurn(state: State, appId: string): void {
    const now = this.#time.now;
    // Deleted in the same write: with it has gone what it was asked to be.
    if (state.apps.get(idOf(appId)) === undefined) return;
    const asked = Math.max(0, ...state.deployments.group(idOf(appId)).map((deployment) => deployment.replicas));
    const made = [
      ...(this.#made.get(appId) ?? []).filter(({ at }) => now - at < MINUTE_MS),
      { at: now, replicas: asked },
    ];
    this.#made.set(appId, made);
    // It may have been scaled down within the minute.
    const replicas = Math.max(...made.map((one) => one.replicas));
    const most = MACHINES_A_MINUTE + MACHINES_A_REPLICA * replicas;
    if (made.length > most)
      throw new Violation(
        `a storm: ${made.length} machines of ${appId} are made within a minute, which has at most ${replicas} replicas`,
        [appId],
      );
  }

  /** Make before break: what is told to go because it was replaced has a replacement that was ready. */
  #checkReplaced(state: State, machineIds: readonly string[], reason: string): void {
    if (!reason.startsWith("replaced by ")) return;
    for (const id of machineIds) {
      const by = state.machines.get(idOf(id))?.replaced_by ?? null;
      if (by === null || !this.#copies.wasReady(by))
        throw new Violation(`${id} is told to go, ${reason}, which was never ready`, [
          id,
          by ?? "",
          state.machines.get(idOf(id))?.host_id ?? "",
        ]);
    }
  }

  /** `completed` is said only where nothing runs. */
  #checkEmpty(hostId: string): void {
    const left = this.#hosts.get(hostId)?.runtime.alive() ?? [];
    if (left.length > 0)
      throw new Violation(
        `the drain of ${hostId} is completed while ${left.map(({ id }) => id).join(", ")} run there`,
        [hostId, ...left.map(({ id }) => id)],
      );
  }

  /** A drain moves, or each of its rows says why not. */
  #checkDrain(hostId: string): void {
    this.#control.serve(
      { method: "GET", path: `/v1/hosts/${hostId}/drain-status`, body: "", headers: {}, hostId: null },
      (answer) => {
        if (answer.kind !== "answer" || answer.status !== 200) return;
        const drain = JSON.parse(answer.text) as DrainView;
        if (drain.state !== "draining") return void this.#drains.delete(hostId);
        const left = drain.machines.filter(({ state }) => state !== "migrated" && state !== "failed");
        const rows = JSON.stringify(left.map(({ id, state, replacement_id }) => [id, state, replacement_id]));
        const before = this.#drains.get(hostId);
        if (before?.rows !== rows) return void this.#drains.set(hostId, { rows, since: this.#time.now });
        const silent = left.filter(({ reason }) => reason === null || reason === "");
        if (this.#time.now - Math.max(before.since, this.#hosts.get(hostId)?.heardSince ?? Infinity) < STILL_MS) return;
        if (left.length > 0 && silent.length === 0) return;
        const what =
          left.length === 0 ? "no machine is left" : silent.map(({ id, state }) => `${id} is ${state}`).join(", ");
        this.#control.fail(
          new Violation(
            `the drain of ${hostId} stands still since ${clockText(before.since)} and does not say why: ${what}`,
            [hostId, ...silent.map(({ id }) => id)],
          ),
        );
      },
    );
  }
}
