/**
 * The machines of this host: carries out what reconcile decides, hears how machines end, and keeps their records.
 * It knows no process and no network: those are behind Runtime, Images and Checks, so that a simulation can run it by
 * the thousand.
 */
import type { Cancel } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { LostMachinesOptions } from "./lost-machines.ts";
import { LostMachines, unrecorded } from "./lost-machines.ts";
import { HostMachine } from "./machine.ts";
import type { Room, Step, Wish } from "./reconcile.ts";
import { nextDue, reconcile } from "./reconcile.ts";
import type { LostRecord, MachineRecord, MachineStore } from "./records.ts";
import { RecordWriter } from "./records.ts";
import type { Checks, Exit, Images, RunningMachine } from "./runtime.ts";
import type { Change } from "./transitions.ts";
import * as become from "./transitions.ts";
import type { DesiredMachine, MachineReport } from "../wire/agents.ts";

export interface MachinesOptions extends LostMachinesOptions {
  readonly images: Images;
  readonly checks: Checks;
  readonly store: MachineStore;
  /** Makes the name of a start. */
  readonly newLaunchId: () => string;
  /** What this host has. */
  readonly room: Room;
  /**
   * How long after a start of the agent an old list is only kept, not acted on, while the control plane says nothing.
   */
  readonly staleMs: number;
}

export class Machines {
  readonly #options: MachinesOptions;
  readonly #machines = new Map<string, HostMachine>();
  #wish: Wish = { machines: null, fresh: false };
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
    this.#wish = { machines: list, fresh: false };
    const { records, lost } = await store.load();
    const freed = [...lost, ...(await this.#unknown(records, lost))].map((record) => this.#lost.end(record));
    await Promise.all(records.map((record) => this.#adopt(record)));
    for (const each of freed) void each.then(() => this.#pass());
    this.#cancelStale = clock.after(staleMs, () => {
      this.#wish = { ...this.#wish, fresh: true };
      this.#pass();
    });
    this.#arm();
  }

  /** The control plane's newest word on all machines of this host. */
  take(machines: readonly DesiredMachine[]): void {
    this.#wish = { machines, fresh: true };
    this.#pass();
  }

  report(): MachineReport[] {
    return [...this.#machines.values()].map((machine) => machine.toReport()).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The images that a machine runs from or may yet be started from. */
  imagesInUse(): Set<string> {
    const used = [...this.#machines.values()].filter(({ isUp, phase }) => isUp || phase === "waiting");
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
    for (const machine of this.#machines.values()) machine.letGo();
    await this.#records.settled();
  }

  /** Machines that run though nothing is written down of them, or that they have ended. */
  async #unknown(records: readonly MachineRecord[], lost: readonly LostRecord[]): Promise<LostRecord[]> {
    const { runtime, log } = this.#options;
    const marked = await runtime.marked().catch((error: unknown) => {
      log.warn("it cannot be seen which machines run that nothing is written down of", { reason: messageOf(error) });
      return new Set<string>();
    });
    return unrecorded(
      marked,
      records.filter((record) => HostMachine.fromRecord(record, 0).isUp),
      lost,
    );
  }

  async #adopt(record: MachineRecord): Promise<void> {
    const { clock, runtime, log } = this.#options;
    const machine = HostMachine.fromRecord(record, clock.mono());
    const { id, launch } = machine;
    this.#machines.set(id, machine);
    if (launch === null || !machine.isUp) {
      // It had not come to a start.
      if (machine.phase === "starting") machine.phase = "waiting";
      if (machine.phase === "stopping") this.#change(machine, become.settled("stopped", null));
      return;
    }
    const unseen = (error: unknown): Exit => ({ code: null, detail: messageOf(error), ranMs: null });
    const { id: launchId, handle, startedAt } = launch;
    const found = await runtime.adopt({ id, launchId, handle, startedAt }).catch(unseen);
    if (this.#closed) return;
    if (!("exited" in found)) {
      log.info("a machine ended while the agent was away", { machine: id, exit_code: found.code });
      this.#ended(machine, found);
      return;
    }
    log.info("adopted a machine", { machine: id });
    this.#started(machine, found, clock.mono() - Math.max(0, clock.wall() - found.startedAt));
  }

  /** Takes every step that is due, and sets the timer for the next. */
  #pass(): void {
    if (this.#closed) return;
    // A step may make another due at once (created, then launched); each brings its machine nearer to rest, so this
    // ends.
    const due = (): Step[] =>
      reconcile(this.#wish, [...this.#machines.values()], this.#options.clock.mono(), this.#options.room).filter(
        (step) => step.type !== "create" || !this.#lost.has(step.machine.id),
      );
    for (let steps = due(); steps.length > 0; steps = due()) for (const step of steps) this.#take(step);
    this.#arm();
    this.#tellIdle();
  }

  #arm(): void {
    this.#cancelTimer();
    const { clock, room } = this.#options;
    const due = nextDue(this.#wish, [...this.#machines.values()], room);
    if (due < Infinity && !this.#closed)
      this.#cancelTimer = clock.after(Math.max(0, due - clock.mono()), () => this.#pass());
  }

  #take(step: Step): void {
    if (step.type === "create") {
      this.#machines.set(step.machine.id, new HostMachine(step.machine, this.#options.clock.mono()));
      return this.#onChange();
    }
    const machine = this.#machines.get(step.id);
    if (machine === undefined) return;
    if (step.type === "launch") void this.#launch(machine);
    else if (step.type === "stop") this.#stop(machine);
    else if (step.type === "kill") this.#kill(machine);
    else this.#forget(machine);
  }

  async #launch(machine: HostMachine): Promise<void> {
    const { runtime, images, clock, newLaunchId } = this.#options;
    this.#change(machine, become.beginning());
    try {
      const imagePath = await images.ensure(machine.machine.image, machine.beginPull());
      if (!this.#isStarting(machine)) return;
      const launchId = newLaunchId();
      Object.assign(machine, become.launching(launchId, clock.wall()));
      // Written down before anything runs: whatever happens next, the next agent knows what to look for.
      await this.#records.save(machine.toRecord());
      // Asked to stop while the record was written.
      if (!this.#isStarting(machine)) return this.#notLaunched(machine, null);
      const running = await runtime.launch({ machine: machine.machine, imagePath, launchId });
      if (!this.#closed) this.#started(machine, running, clock.mono());
    } catch (error) {
      this.#notLaunched(machine, error);
    } finally {
      this.#pass();
    }
  }

  /** It runs since `upSince`; where a stop was asked for meanwhile, that follows at once. */
  #started(machine: HostMachine, running: RunningMachine, upSince: number): void {
    const stopAsked = machine.phase === "stopping";
    this.#up(machine, running, upSince);
    if (stopAsked) this.#stop(machine);
  }

  /** False where it was asked to stop meanwhile, or the agent ends. */
  #isStarting(machine: HostMachine): boolean {
    return !this.#closed && machine.phase === "starting" && this.#machines.get(machine.id) === machine;
  }

  #notLaunched(machine: HostMachine, error: unknown): void {
    if (this.#machines.get(machine.id) !== machine || this.#closed) return;
    const isAsked = machine.phase === "stopping";
    if (isAsked) return this.#change(machine, { launch: null, ...become.settled("stopped", null) });
    if (machine.phase !== "starting") return;
    this.#change(machine, become.notStarted(machine, error, this.#options.clock.mono()));
    const { id, phase, reason } = machine;
    this.#options.log.warn("a machine could not be started", { machine: id, next: phase, reason });
  }

  #up(machine: HostMachine, running: RunningMachine, upSince: number): void {
    Object.assign(machine, become.running(machine, running, upSince));
    this.#watch(machine);
    this.#changed(machine);
    void running.exited.then((exit) => {
      if (this.#closed || machine.running !== running) return;
      this.#ended(machine, exit);
      this.#pass();
    });
  }

  #watch(machine: HostMachine): void {
    machine.ready = machine.machine.check === undefined ? null : machine.ready === true;
    if (machine.ready === null) return;
    const tell = (failure: string | null): void => {
      [machine.ready, machine.reason] = [failure === null, failure];
      this.#changed(machine);
    };
    machine.stopChecks = this.#options.checks.watch(machine.machine, tell, machine.ready);
  }

  #stop(machine: HostMachine): void {
    const { clock, stopGraceMs } = this.#options;
    const isLaunching = machine.phase === "starting" && machine.launch !== null;
    if (machine.running === null && !isLaunching) return this.#change(machine, become.settled("stopped", null));
    machine.stopChecks();
    // While it is being started there is nothing to signal; the start comes back here.
    Object.assign(machine, become.stopping(machine.running === null ? Infinity : clock.mono() + stopGraceMs));
    machine.running?.terminate();
    this.#changed(machine);
  }

  #kill(machine: HostMachine): void {
    this.#options.log.warn("a machine did not stop when asked; it is killed", {
      machine: machine.id,
      grace_ms: this.#options.stopGraceMs,
    });
    machine.due = Infinity;
    machine.running?.kill();
  }

  #forget(machine: HostMachine): void {
    this.#machines.delete(machine.id);
    this.#records.remove(machine.id);
    this.#onChange();
  }

  #ended(machine: HostMachine, exit: Exit): void {
    const { clock, log } = this.#options;
    const wasAsked = machine.phase === "stopping";
    machine.stopChecks();
    this.#change(machine, become.ended(machine, exit, clock.mono()));
    const { id, phase, exitCode, reason } = machine;
    const next = phase === "waiting" ? "restart" : phase;
    if (!wasAsked) log.info("a machine ended", { machine: id, exit_code: exitCode, next, reason });
  }

  #change(machine: HostMachine, change: Change): void {
    if (change.phase === "stopped" || change.phase === "failed") machine.letGo();
    Object.assign(machine, change);
    this.#changed(machine);
  }

  #changed(machine: HostMachine): void {
    void this.#records.save(machine.toRecord()).catch(() => undefined);
    this.#onChange();
  }

  #tellIdle(): void {
    if ([...this.#machines.values()].some(({ isUp }) => isUp) || !this.#lost.isEmpty) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}
