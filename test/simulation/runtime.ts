/**
 * A host's machines without processes: they start, become ready, fail and stop after seeded times, and outlive the
 * agent.
 */
import type { Checks, Exit, Images, Launch, Launched, RunningMachine, Runtime } from "../../src/agent/runtime.ts";
import { LaunchError } from "../../src/agent/runtime.ts";
import type { DesiredMachine } from "../../src/wire/agents.ts";
import type { Cancel } from "../../src/lib/clock.ts";
import type { Chance } from "./chance.ts";
import type { ProcessClock, SimClock } from "./clock.ts";
import type { Temper } from "./images.ts";
import { temperOf } from "./images.ts";
import { START_WALL } from "../support/clock.ts";

/** What really runs: one start of a machine on a host. */
export interface Copy {
  readonly id: string;
  readonly hostId: string;
  readonly launchId: string;
  readonly machine: DesiredMachine;
  readonly startedAt: number;
  /** Virtual time from which its check passes. */
  readonly readyAt: number;
}

/** Who is told of what really runs. */
export interface Witness {
  started(copy: Copy): void;
  ended(copy: Copy): void;
}

interface Life extends Copy {
  readonly temper: Temper;
  alive: boolean;
  readonly exited: Promise<Exit>;
  readonly tellExit: (exit: Exit) => void;
}

export class SimRuntime implements Runtime {
  readonly #hostId: string;
  readonly #time: SimClock;
  readonly #chance: Chance;
  readonly #witness: Witness;
  readonly #lives = new Map<string, Life>();
  /** Starts under way, which an agent's end decides. */
  readonly #starting = new Set<() => void>();

  constructor(hostId: string, time: SimClock, chance: Chance, witness: Witness) {
    this.#hostId = hostId;
    this.#time = time;
    this.#chance = chance;
    this.#witness = witness;
  }

  launch(launch: Launch): Promise<RunningMachine> {
    const temper = temperOf(launch.machine.image);
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        if (!this.#starting.delete(begin)) return;
        if (temper.refusal !== null) reject(new LaunchError(temper.refusal, true));
        else resolve(this.#running(this.#begin(launch, temper)));
      };
      this.#starting.add(begin);
      this.#time.after(this.#chance.between(...temper.start), begin);
    });
  }

  adopt({ id, launchId }: Launched): Promise<RunningMachine | Exit> {
    const life = this.#lives.get(id);
    return Promise.resolve(
      life !== undefined && life.launchId === launchId && life.alive
        ? this.#running(life)
        : { code: null, detail: "gone" },
    );
  }

  search(id: string): Promise<RunningMachine | null> {
    const life = this.#lives.get(id);
    return Promise.resolve(life?.alive === true ? this.#running(life) : null);
  }

  marked(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set(this.#lives.keys()));
  }

  /** What runs now. */
  alive(): readonly Copy[] {
    return [...this.#lives.values()];
  }

  find(id: string): Copy | undefined {
    return this.#lives.get(id);
  }

  /** The agent is gone: what it was about to start is started, or is not. */
  abandon(): void {
    for (const begin of [...this.#starting]) {
      if (this.#chance.is(0.5)) begin();
      this.#starting.delete(begin);
    }
  }

  /** The host's power fails: nothing runs. Call it without an agent. */
  reboot(): void {
    this.#starting.clear();
    for (const life of [...this.#lives.values()]) this.#end(life, { code: null, detail: "the host restarted" });
  }

  #begin({ machine, launchId }: Launch, temper: Temper): Life {
    let tellExit: (exit: Exit) => void = () => undefined;
    const exited = new Promise<Exit>((resolve) => (tellExit = resolve));
    const now = this.#time.now;
    const life: Life = {
      id: machine.id,
      hostId: this.#hostId,
      launchId,
      machine,
      temper,
      startedAt: now,
      readyAt: now + this.#readyIn(temper),
      alive: true,
      exited,
      tellExit,
    };
    this.#lives.set(machine.id, life);
    this.#witness.started(life);
    if (temper.livesMs !== null)
      this.#time.after(this.#chance.delay(temper.livesMs), () =>
        this.#end(life, { code: temper.exitCode, detail: null }),
      );
    return life;
  }

  #readyIn({ check, ready }: Temper): number {
    return check === "fails" ? Infinity : check === "none" ? 0 : this.#chance.between(...ready);
  }

  #end(life: Life, exit: Exit): void {
    if (!life.alive) return;
    life.alive = false;
    if (this.#lives.get(life.id) === life) this.#lives.delete(life.id);
    this.#witness.ended(life);
    life.tellExit(exit);
  }

  #running(life: Life): RunningMachine {
    return {
      handle: { of: life.launchId },
      startedAt: START_WALL + Math.floor(life.startedAt),
      exited: life.exited,
      terminate: () =>
        void this.#time.after(this.#chance.between(...life.temper.stop), () =>
          this.#end(life, { code: 0, detail: null }),
        ),
      kill: () =>
        void this.#time.after(this.#chance.between(1, 50), () => this.#end(life, { code: null, detail: "killed" })),
    };
  }
}

/** Checks that pass from the moment that the machine is ready, and of some machines every other moment. */
export class SimChecks implements Checks {
  readonly #runtime: SimRuntime;
  readonly #clock: ProcessClock;
  readonly #time: SimClock;
  readonly #chance: Chance;

  constructor(runtime: SimRuntime, clock: ProcessClock, time: SimClock, chance: Chance) {
    this.#runtime = runtime;
    this.#clock = clock;
    this.#time = time;
    this.#chance = chance;
  }

  watch(machine: DesiredMachine, tell: (failure: string | null) => void): Cancel {
    const readyAt = this.#runtime.find(machine.id)?.readyAt ?? Infinity;
    if (readyAt === Infinity) return this.#clock.after(1_500, () => tell("its check fails: connection refused"));
    const { wavers, losesIt } = temperOf(machine.image);
    let cancel: Cancel = () => undefined;
    const answer = (isWell: boolean): void => {
      tell(isWell ? null : "its check fails: 503");
      if (wavers !== null) cancel = this.#clock.after(this.#chance.between(...wavers), () => answer(!isWell));
    };
    const fade = (): void => tell("its check fails: 500");
    const begin = (): void => {
      answer(true);
      if (losesIt !== null) cancel = this.#clock.after(this.#chance.between(...losesIt), fade);
    };
    cancel = this.#clock.after(Math.max(0, readyAt - this.#time.now), begin);
    return () => cancel();
  }
}

/** Images that are on the host once they were pulled. */
export class SimImages implements Images {
  readonly #clock: ProcessClock;
  readonly #chance: Chance;
  readonly #here: Set<string>;

  /** `here` is the host's disk, which outlives the agent. */
  constructor(clock: ProcessClock, chance: Chance, here: Set<string>) {
    this.#clock = clock;
    this.#chance = chance;
    this.#here = here;
  }

  async ensure(digest: string): Promise<string> {
    if (!this.#here.has(digest))
      await new Promise<void>((resolve) => void this.#clock.after(this.#chance.between(100, 4_000), resolve));
    this.#here.add(digest);
    return `/images/${digest}`;
  }
}
