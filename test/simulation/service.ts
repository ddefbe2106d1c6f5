/**
 * How an app's service stands, told from the log's lines alone and not by the product's own reckoning: who is up since
 * when. It judges each machine that is let go for another: as many others as the app's replicas have been up for long
 * enough.
 */
import type { EventData, Recorded } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import { Violation } from "./copies.ts";

/** A restart of the daemon goes on by wall time, and two daemons' clocks are up to a second apart. */
const SKEW_MS = 1_100;
/** What the product asks of a machine whose deployment has completed before. */
const KNOWN_SHARE = 5;

interface Machine {
  readonly appId: string;
  readonly deploymentId: string;
  readonly minHealthyMs: number;
  readonly replaces: string | null;
  replacedBy: string | null;
  hostId: string | null;
  startedAt: string | null;
  /** Virtual time; null while it is not up. */
  upSince: number | null;
  /** It ended by itself with code 0, and is a replica that is through. */
  isThrough: boolean;
  isPaused: boolean;
}

export class Service {
  readonly #machines = new Map<string, Machine>();
  readonly #byApp = new Map<string, Set<string>>();
  readonly #targets = new Map<string, string>();
  readonly #replicas = new Map<string, number>();
  readonly #completed = new Set<string>();
  readonly #timeOf: (at: string) => number;

  constructor(timeOf: (at: string) => number) {
    this.#timeOf = timeOf;
  }

  /**
   * What a start of the daemon has read: of lines that nobody acknowledged only the log knows whether they are there.
   */
  restore(state: State): void {
    for (const map of [this.#machines, this.#byApp, this.#targets, this.#replicas]) map.clear();
    this.#completed.clear();
    for (const { id, replicas, state: stage } of state.deployments.values()) {
      this.#replicas.set(id, replicas);
      if (stage === "completed") this.#completed.add(id);
    }
    for (const { id, deployment_id: target, stable_id: stable } of state.apps.values()) {
      if (target !== null) this.#targets.set(id, target);
      if (stable !== null) this.#completed.add(stable);
    }
    for (const machine of state.machines.values()) {
      if (machine.removing) continue;
      this.#add(machine.id, {
        appId: machine.app_id,
        deploymentId: machine.deployment_id,
        minHealthyMs: machine.min_healthy_seconds * 1000,
        replaces: machine.replaces,
        replacedBy: machine.replaced_by,
        hostId: machine.host_id,
        startedAt: machine.started_at,
        upSince: machine.up_since === null ? null : this.#timeOf(machine.up_since),
        isThrough: machine.state === "stopped" && machine.desired_state === "running",
        isPaused: machine.desired_state === "stopped",
      });
    }
  }

  /** The next line of the log. Throws a Violation where it lets go who is needed. */
  take(event: Recorded): void {
    switch (event.type) {
      case "machine.created":
        return this.#created(event.data);
      case "machine.removed":
        if (event.data.reason.startsWith("replaced by "))
          for (const id of event.data.machine_ids) this.#judge(id, this.#timeOf(event.at));
        return event.data.machine_ids.forEach((id) => this.#remove(id));
      case "machine.given_up":
        return this.#givenUp(event.data);
      case "machine.placed":
        return this.#change(event.data.machine_id, {
          hostId: event.data.host_id,
          isPaused: false,
          isThrough: false,
          upSince: null,
        });
      case "machine.stop_requested":
        return this.#change(event.data.machine_id, { isPaused: true, upSince: null });
      case "machine.start_requested":
        return this.#change(event.data.machine_id, { isPaused: false });
      case "host.heard":
        return event.data.machines.forEach((report) => this.#heard(report, this.#timeOf(event.at)));
      case "host.lost":
        return event.data.host_ids.forEach((id) => this.#lost(id));
      case "host.deregistered":
        return this.#lost(event.data.host_id);
      case "host.drain_forced":
        return event.data.machine_ids.forEach((id) => this.#remove(id));
      case "deployment.created":
        this.#replicas.set(event.data.deployment.id, event.data.deployment.replicas);
        return void this.#targets.set(event.data.deployment.app_id, event.data.deployment.id);
      case "deployment.scaled":
        return void this.#replicas.set(event.data.deployment_id, event.data.replicas);
      case "deployment.moved":
        if (event.data.state === "completed") this.#completed.add(event.data.deployment_id);
        return void this.#targets.set(event.data.app_id, event.data.target_id);
      default:
    }
  }

  #created({ machine, host_id: hostId, replaces }: EventData["machine.created"]): void {
    const { id, app_id: appId, deployment_id: deploymentId, min_healthy_seconds: seconds } = machine;
    const links = { replaces, replacedBy: null, hostId };
    const fresh = { startedAt: null, upSince: null, isThrough: false, isPaused: false };
    this.#add(id, { appId, deploymentId, minHealthyMs: seconds * 1000, ...links, ...fresh });
    this.#change(replaces ?? "", { replacedBy: id });
  }

  #givenUp({ machine_id: id, original_id: original }: EventData["machine.given_up"]): void {
    this.#remove(id);
    this.#change(original, { replacedBy: null });
  }

  #heard(report: EventData["host.heard"]["machines"][number], now: number): void {
    const machine = this.#machines.get(report.id);
    if (machine === undefined) return;
    const isUp = report.state === "running" && report.ready;
    const goesOn = isUp && machine.upSince !== null && machine.startedAt === report.started_at;
    this.#change(report.id, {
      startedAt: report.started_at,
      upSince: goesOn ? machine.upSince : isUp ? now : null,
      isThrough: report.state === "stopped" && !machine.isPaused,
    });
  }

  #lost(hostId: string): void {
    for (const machine of this.#machines.values())
      if (machine.hostId === hostId && !machine.isThrough) machine.upSince = null;
  }

  /** Who serves goes only where, without it, as many are well as there shall be. */
  #judge(id: string, now: number): void {
    const machine = this.#machines.get(id);
    if (machine === undefined || machine.upSince === null || machine.isPaused) return;
    const members = [...(this.#byApp.get(machine.appId) ?? [])].flatMap((name) => this.#machines.get(name) ?? []);
    const heads = members.filter(({ replaces }) => this.#machines.get(replaces ?? "") === undefined);
    const excused = heads.filter(({ isPaused, isThrough }) => isPaused || isThrough).length;
    const needed = (this.#replicas.get(this.#targets.get(machine.appId) ?? "") ?? 0) - excused;
    const others = members.filter((other) => other !== machine && this.#isWell(other, now)).length;
    if (others >= needed) return;
    throw new Violation(
      `${id} serves and is told to go while ${others} of ${needed} others of ${machine.appId} are well`,
      [id, machine.appId, machine.hostId ?? ""],
    );
  }

  #isWell({ upSince, isPaused, minHealthyMs, deploymentId }: Machine, now: number): boolean {
    const asked = this.#completed.has(deploymentId) ? minHealthyMs / KNOWN_SHARE : minHealthyMs;
    return !isPaused && upSince !== null && now - upSince >= asked - SKEW_MS;
  }

  #add(id: string, machine: Machine): void {
    this.#machines.set(id, machine);
    const own = this.#byApp.get(machine.appId) ?? new Set();
    this.#byApp.set(machine.appId, own.add(id));
  }

  #change(id: string, change: Partial<Machine>): void {
    const machine = this.#machines.get(id);
    if (machine !== undefined) Object.assign(machine, change);
  }

  #remove(id: string): void {
    const machine = this.#machines.get(id);
    this.#machines.delete(id);
    this.#byApp.get(machine?.appId ?? "")?.delete(id);
  }
}
