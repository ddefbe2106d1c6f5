/**
 * The machines of this host: takes the steps that reconcile finds due, and hands each machine what happens to it. What
 * becomes of a machine is transitions.ts's, what is done for it machine-work.ts's. It knows no process and no network:
 * those are behind Runtime, Images and Checks, so that a simulation can run it by the thousand.
 *
 *     take(list) ──> reconcile: steps ──┐
 *                                       ├──> transitions: state, actions ──> machine-work ──┐
 *     timers ──────────────────────────>│                                                   │
 *                                       └──< what comes of it <─────────────────────────────┘
 */
import type { Cancel } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { DesiredMachine, MachineReport } from "../wire/agents.ts";
import { msUntil } from "./due.ts";
import type { LostMachinesOptions } from "./lost-machines.ts";
import { LostMachines, unrecorded } from "./lost-machines.ts";
import type { MachineEvent } from "./machine-events.ts";
import type { WorkOptions } from "./machine-work.ts";
import { MachineWork } from "./machine-work.ts";
import type { MachineState } from "./machine.ts";
import { createMachine, fromRecord, toActual, toReport, wasUp } from "./machine.ts";
import type { Actual, DesiredState, Room, Step } from "./reconcile.ts";
import { isUp, nextDue, reconcile } from "./reconcile.ts";
import type { LostRecord, MachineRecord, MachineStore } from "./records.ts";
import { RecordWriter } from "./records.ts";
import { next } from "./transitions.ts";

export interface MachinesOptions extends LostMachinesOptions, WorkOptions {
  readonly store: MachineStore;
  /** What this host has. */
  readonly room: Room;
  /**
   * How long after a start of the agent an old list is only kept, not acted on, while the control plane says nothing.
   */
  readonly staleMs: number;
}

/** One machine: its state, and who works for it. */
interface HostMachine {
  state: MachineState;
  readonly work: MachineWork;
}

export class Machines {
  readonly #options: MachinesOptions;
  readonly #machines = new Map<string, HostMachine>();
  #desired: DesiredState = { machines: null, fresh: false };
  #cancelTimer: Cancel = () => undefined;
  #cancelStale: Cancel = () => undefined;
  #onChange: () => void = () => undefined;
  readonly #records: RecordWriter;
  readonly #lost: LostMachines;
  #closed = false;
  #onIdle: (() => void)[] = [];

  constructor(options: MachinesOptions) {
    this.#options = options;
    this.#records = new RecordWriter(options.store, options.log);
    this.#lost = new LostMachines(options, this.#records);
  }

  /** Called whenever a report would be another than before. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /**
   * Adopts what an earlier agent left. `list` is the last one of the own cluster: it is acted on when no newer comes in
   * time.
   */
  async load(list: readonly DesiredMachine[] | null): Promise<void> {
    const { clock, store, staleMs } = this.#options;
    this.#desired = { machines: list, fresh: false };
    const { records, lost } = await store.load();
    const freed = [...lost, ...(await this.#unknown(records, lost))].map((record) => this.#lost.end(record));
    await Promise.all(records.map((record) => this.#adopt(record)));
    for (const each of freed) void each.then(() => this.#pass());
    this.#cancelStale = clock.after(staleMs, () => {
      this.#desired = { ...this.#desired, fresh: true };
      this.#pass();
    });
    this.#arm();
  }

  /** The control plane's newest word on all machines of this host. */
  take(machines: readonly DesiredMachine[]): void {
    this.#desired = { machines, fresh: true };
    this.#pass();
  }

  report(): MachineReport[] {
    return this.#states()
      .map(toReport)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The images that a machine runs from or may yet be started from. */
  imagesInUse(): Set<string> {
    const used = this.#states().filter(({ phase }) => isUp(phase) || phase === "waiting");
    return new Set(used.map(({ machine }) => machine.image));
  }

  /** Stops all machines; resolves when none runs. */
  stopAll(): Promise<void> {
    this.take([]);
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
      this.#tellIdle();
    });
  }

  /** Lets go of timers and checks. Machines go on; their records are on disk when this resolves. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    this.#cancelStale();
    this.#lost.close();
    for (const { work } of this.#machines.values()) work.close();
    await this.#records.settled();
  }

  /** Machines that run though nothing is written down of them, or that they have ended. */
  async #unknown(records: readonly MachineRecord[], lost: readonly LostRecord[]): Promise<LostRecord[]> {
    const { runtime, log } = this.#options;
    const marked = await runtime.marked().catch((error: unknown) => {
      log.warn("it cannot be seen which machines run that nothing is written down of", { reason: messageOf(error) });
      return new Set<string>();
    });
    return unrecorded(marked, records.filter(wasUp), lost);
  }

  async #adopt(record: MachineRecord): Promise<void> {
    const state = fromRecord(record);
    const { work } = this.#add(state);
    if (state.phase === "starting" || state.phase === "cancelling") await work.adopt(state);
    // It had been asked to stop before it came to a start.
    else if (state.phase === "stopped" && record.phase === "stopping") work.do("save", state);
  }

  /** Takes every step that is due, and sets the timer for the next. */
  #pass(): void {
    if (this.#closed) return;
    // A step may make another due at once (created, then launched); each brings its machine nearer to rest, so this
    // ends.
    const due = (): Step[] =>
      reconcile(this.#desired, this.#actual(), this.#options.clock.mono(), this.#options.room).filter(
        (step) => step.type !== "create" || !this.#lost.has(step.machine.id),
      );
    for (let steps = due(); steps.length > 0; steps = due()) for (const step of steps) this.#take(step);
    this.#arm();
    this.#tellIdle();
  }

  #arm(): void {
    this.#cancelTimer();
    const { clock, room } = this.#options;
    const due = nextDue(this.#desired, this.#actual(), room);
    if (due !== "never" && !this.#closed)
      this.#cancelTimer = clock.after(msUntil(due, clock.mono()), () => this.#pass());
  }

  #take(step: Step): void {
    if (step.type === "create") {
      this.#add(createMachine(step.machine));
      return this.#onChange();
    }
    const machine = this.#machines.get(step.id);
    if (machine !== undefined) this.#apply(machine, step);
  }

  #add(state: MachineState): HostMachine {
    const tell = (event: MachineEvent): void => this.#happened(machine, event);
    const machine: HostMachine = { state, work: new MachineWork(this.#options, this.#records, tell) };
    this.#machines.set(state.machine.id, machine);
    return machine;
  }

  /** Something has come of the work; where that brings the machine into another phase, other steps may be due. */
  #happened(machine: HostMachine, event: MachineEvent): void {
    // It may have been forgotten, or be another one by now.
    if (this.#machines.get(machine.state.machine.id) !== machine) return;
    const { phase } = machine.state;
    this.#apply(machine, event);
    if (machine.state.phase !== phase) this.#pass();
  }

  #apply(machine: HostMachine, event: MachineEvent): void {
    const { clock, stopGraceMs } = this.#options;
    const before = machine.state;
    const { state, actions } = next(before, event, { now: clock.mono(), stopGraceMs });
    if (state === "gone") this.#machines.delete(before.machine.id);
    else machine.state = state;
    for (const action of actions) {
      machine.work.do(action, machine.state);
      if (action === "save" || action === "remove") this.#onChange();
    }
  }

  #states(): MachineState[] {
    return [...this.#machines.values()].map(({ state }) => state);
  }

  #actual(): Actual[] {
    return this.#states().map(toActual);
  }

  #tellIdle(): void {
    if (this.#states().some(({ phase }) => isUp(phase)) || !this.#lost.isEmpty) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}
