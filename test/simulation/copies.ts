/**
 * What really runs, against what shall run: no host beyond its capacity, no machine twice, no copy that nobody wants
 * for long.
 */
import type { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import type { SimClock } from "./clock.ts";
import type { SimHost } from "./host.ts";
import { STOP_GRACE_MS, temperOf } from "./images.ts";
import type { Copy, Witness } from "./runtime.ts";
import type { Trace } from "./trace.ts";

const BEAT_MS = 10_000;
/** Two beats, and what the messages and the kill itself take. */
const TWO_BEATS_MS = 2 * BEAT_MS + 2_000;

/** An invariant does not hold. */
export class Violation extends Error {
  /** Hosts and machines that it is about. */
  readonly about: readonly string[];

  constructor(what: string, about: readonly string[]) {
    super(what);
    this.name = "Violation";
    this.about = about;
  }
}

export class Copies implements Witness {
  readonly #time: SimClock;
  readonly #trace: Trace;
  readonly #hosts: ReadonlyMap<string, SimHost>;
  readonly #byMachine = new Map<string, Copy[]>();
  readonly #cpus = new Map<string, number>();
  readonly #memory = new Map<string, number>();
  /** Machines that were ready once. */
  readonly #readyOnce = new Set<string>();
  /** Since when a copy is one too many, by launch. */
  readonly #tooMany = new Map<string, { readonly why: string; readonly at: number }>();

  constructor(time: SimClock, trace: Trace, hosts: ReadonlyMap<string, SimHost>) {
    this.#time = time;
    this.#trace = trace;
    this.#hosts = hosts;
  }

  started(copy: Copy): void {
    this.#trace.note(copy.hostId, `${copy.id} runs`);
    const others = this.#byMachine.get(copy.id) ?? [];
    const [other] = others;
    if (other !== undefined)
      throw new Violation(`machine ${copy.id} is started on ${copy.hostId} while it runs on ${other.hostId}`, [
        copy.id,
        copy.hostId,
        other.hostId,
      ]);
    this.#byMachine.set(copy.id, [...others, copy]);
    this.#add(copy, 1);
    this.#checkCapacity(copy);
    if (copy.readyAt < Infinity)
      this.#time.after(
        copy.readyAt - this.#time.now,
        () => void (this.find(copy.id) === copy && this.#readyOnce.add(copy.id)),
      );
    if (copy.readyAt <= this.#time.now) this.#readyOnce.add(copy.id);
  }

  ended(copy: Copy): void {
    this.#trace.note(copy.hostId, `${copy.id} runs no more`);
    const left = (this.#byMachine.get(copy.id) ?? []).filter((other) => other !== copy);
    if (left.length === 0) this.#byMachine.delete(copy.id);
    else this.#byMachine.set(copy.id, left);
    this.#tooMany.delete(copy.launchId);
    this.#add(copy, -1);
  }

  find(machineId: string): Copy | undefined {
    return this.#byMachine.get(machineId)?.[0];
  }

  isReady(machineId: string): boolean {
    const copy = this.find(machineId);
    return copy !== undefined && copy.readyAt <= this.#time.now;
  }

  wasReady(machineId: string): boolean {
    return this.#readyOnce.has(machineId);
  }

  /** Exactly one copy within two beats plus the stop time of all concerned being heard. */
  check(state: State): void {
    const now = this.#time.now;
    for (const [id, copies] of this.#byMachine) {
      for (const copy of copies) {
        const why = this.#whyTooMany(state, id, copy);
        if (why === null) {
          this.#tooMany.delete(copy.launchId);
          continue;
        }
        const seen = this.#tooMany.get(copy.launchId);
        // Another reason is another beginning: that it is told to stop is what its replacement led to.
        const at = seen?.why === why.text ? seen.at : now;
        this.#tooMany.set(copy.launchId, { why: why.text, at });
        const since = Math.max(at, ...why.hosts.map((hostId) => this.#hosts.get(hostId)?.heardSince ?? Infinity));
        const { stop } = temperOf(copy.machine.image);
        if (now - since > TWO_BEATS_MS + Math.min(stop[1], STOP_GRACE_MS)) {
          throw new Violation(
            `machine ${id} runs on ${copy.hostId} ${Math.round((now - since) / 1000)} s after everyone ` +
              `concerned was heard, and should not: ${why.text}`,
            [id, ...why.machines, ...why.hosts],
          );
        }
      }
    }
  }

  /** Why a copy should go, or null; with the hosts that have to be heard for it. */
  #whyTooMany(
    state: State,
    id: string,
    copy: Copy,
  ): { readonly text: string; readonly hosts: string[]; readonly machines: string[] } | null {
    const machine = state.machines.get(idOf(id));
    const hosts = [copy.hostId];
    if (machine === undefined) return { text: "the daemon does not know it", hosts, machines: [] };
    if (machine.host_id !== copy.hostId)
      return { text: `its place is ${machine.host_id ?? "nowhere"}`, hosts, machines: [] };
    if (machine.state === "stopped" || machine.state === "failed")
      return { text: `the daemon has it as ${machine.state}`, hosts, machines: [] };
    if (machine.desired_state === "stopped") return { text: "it is told to stop", hosts, machines: [] };
    return null;
  }

  #checkCapacity({ id, hostId }: Copy): void {
    const capacity = this.#hosts.get(hostId)?.shape.capacity;
    const cpus = this.#cpus.get(hostId) ?? 0;
    const memory = this.#memory.get(hostId) ?? 0;
    if (capacity === undefined || (cpus <= capacity.cpus && memory <= capacity.memory_mb)) return;
    throw new Violation(
      `${hostId} runs machines of ${cpus} cpus and ${memory} MiB and has ${capacity.cpus} and ${capacity.memory_mb}`,
      [hostId, id],
    );
  }

  #add({ hostId, machine }: Copy, by: number): void {
    this.#cpus.set(hostId, (this.#cpus.get(hostId) ?? 0) + by * machine.cpus);
    this.#memory.set(hostId, (this.#memory.get(hostId) ?? 0) + by * machine.memory_mb);
  }
}
