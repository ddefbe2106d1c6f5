/**
 * The work that is done for one machine: its image, its process, its checks, its record. It decides nothing: it does
 * what the table says (transitions.ts), and tells what comes of it.
 */
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Action, MachineEvent } from "./machine-events.ts";
import type { MachineState, States } from "./machine.ts";
import { toRecord } from "./machine.ts";
import type { RecordWriter } from "./records.ts";
import type { Checks, Exit, Images, RunningMachine, Runtime } from "./runtime.ts";

export interface WorkOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly runtime: Runtime;
  readonly images: Images;
  readonly checks: Checks;
  /** Makes the name of a start. */
  readonly newLaunchId: () => string;
}

export class MachineWork {
  readonly #options: WorkOptions;
  readonly #records: RecordWriter;
  readonly #tell: (event: MachineEvent) => void;
  #running: RunningMachine | null = null;
  #pull: AbortController | null = null;
  #stopChecks: Cancel = () => undefined;
  #closed = false;

  /** `tell` is called for what comes of the work, never while it is asked for. */
  constructor(options: WorkOptions, records: RecordWriter, tell: (event: MachineEvent) => void) {
    this.#options = options;
    this.#records = records;
    this.#tell = (event) => (this.#closed ? undefined : tell(event));
  }

  /** Does one thing. `state` is the one that the action came with. */
  do(action: Action, state: MachineState): void {
    if (typeof action === "object") {
      if (action.do === "prepare") void this.#prepare(state, action.imagePath);
      else if (action.do === "start") void this.#start(state, action.imagePath, action.launchId);
      else this.#options.log[action.level](action.message, action.fields);
    } else if (action === "pull") void this.#ensureImage(state);
    else if (action === "watch") this.#watch(state);
    else if (action === "let go") this.#letGo();
    else if (action === "terminate") this.#running?.terminate();
    else if (action === "kill") this.#running?.kill();
    else if (action === "remove") this.#records.remove(state.machine.id);
    // The log has said so where it cannot be written.
    else void this.#records.save(toRecord(state)).catch(() => undefined);
  }

  /** Takes up what an earlier agent had started. Resolves when it has been told how that is; never rejects. */
  async adopt({ machine: { id }, launch }: States["starting" | "cancelling"]): Promise<void> {
    const { clock, runtime, log } = this.#options;
    const unseen = (error: unknown): Exit => ({ code: null, detail: messageOf(error), ranMs: null });
    const { id: launchId, handle, startedAt } = launch;
    const found = await runtime.adopt({ id, launchId, handle, startedAt }).catch(unseen);
    if (this.#closed) return;
    if ("exited" in found) {
      log.info("adopted a machine", { machine: id });
      this.#hold(found, clock.mono() - Math.max(0, clock.wall() - found.startedAt));
    } else {
      log.info("a machine ended while the agent was away", { machine: id, exit_code: found.code });
      this.#tell({ type: "exited", exit: found });
    }
  }

  /** Lets go of checks and pulls, and tells nothing any more. The machine goes on. */
  close(): void {
    this.#closed = true;
    this.#letGo();
  }

  #letGo(): void {
    this.#stopChecks();
    this.#pull?.abort();
    this.#pull = null;
  }

  async #ensureImage({ machine }: MachineState): Promise<void> {
    const { images, newLaunchId, clock } = this.#options;
    this.#pull = new AbortController();
    await images.ensure(machine.image, this.#pull.signal).then(
      (imagePath) => this.#tell({ type: "pulled", imagePath, launchId: newLaunchId(), wall: clock.wall() }),
      (error: unknown) => this.#tell({ type: "not_started", error }),
    );
  }

  async #prepare(state: MachineState, imagePath: string): Promise<void> {
    await this.#records.save(toRecord(state)).then(
      () => this.#tell({ type: "prepared", imagePath }),
      (error: unknown) => this.#tell({ type: "not_started", error }),
    );
  }

  async #start({ machine }: MachineState, imagePath: string, launchId: string): Promise<void> {
    const { runtime, clock } = this.#options;
    await runtime.launch({ machine, imagePath, launchId }).then(
      (running) => this.#hold(running, clock.mono()),
      (error: unknown) => this.#tell({ type: "not_started", error }),
    );
  }

  #hold(running: RunningMachine, upSince: number): void {
    this.#running = running;
    this.#tell({ type: "started", handle: running.handle, startedAt: running.startedAt, upSince });
    void running.exited.then((exit) => {
      this.#running = null;
      this.#tell({ type: "exited", exit });
    });
  }

  #watch({ machine, ready }: MachineState): void {
    const tell = (failure: string | null): void => this.#tell({ type: "checked", failure });
    this.#stopChecks = this.#options.checks.watch(machine, tell, ready === true);
  }
}
