/**
 * A whole fleet in virtual time: builds it from a seed, lets it live through its chaos and the calm after it, and tells
 * how it went.
 */
import { Chance, seedCrypto } from "./chance.ts";
import { Chaos } from "./chaos.ts";
import { SimClock } from "./clock.ts";
import { Commands } from "./commands.ts";
import { Control } from "./control.ts";
import { Copies, Violation } from "./copies.ts";
import { SimHost } from "./host.ts";
import { Invariants } from "./invariants.ts";
import { Network } from "./network.ts";
import { checkSettled } from "./settled.ts";
import { Trace, clockText } from "./trace.ts";

export interface Terms {
  readonly seed: number;
  readonly agents: number;
  readonly minutes: number;
}

export interface Outcome {
  /** Of everything that happened. */
  readonly hash: string;
  readonly events: number;
  readonly heartbeats: number;
  readonly lines: number;
  readonly machines: number;
  readonly daemonStarts: number;
  /** null: every invariant held. Else what did not, when, and what happened before to those concerned. */
  readonly failure: string | null;
}

const REGIONS = ["north", "south"] as const;
/** All agents are there, and the first apps are asked for. */
const BEGUN_MS = 20_000;
/** At the end nothing befalls the world for so long: longer than every deadline, backoff and round. */
const CALM_MS = 480_000;
/** A line takes a few milliseconds to the disk. */
const REST_MS = 5;
const LONGEST_REST_MS = 1_000;
const CHECK_MS = 5_000;
const TOLD_LINES = 30;

export async function simulate(terms: Terms): Promise<Outcome> {
  const chance = new Chance(terms.seed);
  const unseed = seedCrypto(chance.of("crypto"));
  try {
    return await new World(terms, chance).live();
  } finally {
    unseed();
  }
}

class World {
  readonly #terms: Terms;
  readonly #chance: Chance;
  readonly #time = new SimClock();
  readonly #trace = new Trace(() => this.#time.now);
  readonly #hosts = new Map<string, SimHost>();
  readonly #network: Network;
  readonly #copies: Copies;
  readonly #control: Control;
  readonly #commands: Commands;
  readonly #invariants: Invariants;
  readonly #chaos: Chaos;

  constructor(terms: Terms, chance: Chance) {
    this.#terms = terms;
    this.#chance = chance;
    const [time, trace] = [this.#time, this.#trace];
    this.#network = new Network(time, chance.of("network"));
    this.#copies = new Copies(time, trace, this.#hosts);
    this.#control = new Control(time, chance.of("control"), trace, {
      durable: (events) => this.#invariants.durable(events),
      restored: (state) => this.#invariants.restored(state),
      broken: (error) => time.fail(error),
    });
    this.#commands = new Commands(this.#control, trace, time, chance.of("commands"));
    this.#invariants = new Invariants(time, this.#control, this.#copies, this.#commands, this.#hosts);
    this.#addHosts();
    this.#chaos = new Chaos(
      {
        time,
        network: this.#network,
        control: this.#control,
        commands: this.#commands,
        hosts: [...this.#hosts.values()],
        trace,
      },
      chance.of("chaos"),
    );
  }

  async live(): Promise<Outcome> {
    const end = this.#terms.minutes * 60_000;
    let failure: string | null = null;
    try {
      this.#begin();
      this.#repeat(CHECK_MS, () => this.#invariants.check());
      this.#repeat(60_000, () => this.#invariants.checkBeats());
      this.#time.after(end - CALM_MS, () => this.#chaos.finish());
      await this.#time.run(end);
      // What is judged is a world at rest: a line that is on its way to the disk at that very moment arrives first.
      for (let late = REST_MS; late <= LONGEST_REST_MS && !this.#control.isAtRest; late += REST_MS)
        await this.#time.run(end + late);
      checkSettled({ control: this.#control, copies: this.#copies, commands: this.#commands, hosts: this.#hosts });
    } catch (error) {
      failure = this.#tell(error);
    }
    return {
      hash: this.#trace.hash,
      events: this.#time.steps,
      heartbeats: [...this.#hosts.values()].reduce((sum, { beats }) => sum + beats, 0),
      lines: this.#control.disk.lines.length,
      machines: this.#control.state?.machines.size ?? 0,
      daemonStarts: this.#control.starts,
      failure,
    };
  }

  #addHosts(): void {
    const { agents } = this.#terms;
    const around = {
      time: this.#time,
      network: this.#network,
      control: this.#control,
      trace: this.#trace,
      witness: this.#copies,
    };
    for (let index = 1; index <= agents; index += 1) {
      const id = `h-${String(index).padStart(String(agents).length, "0")}`;
      const cpus = this.#chance.pick([4, 8, 8, 16]) ?? 8;
      const shape = {
        id,
        region: REGIONS[index % REGIONS.length] ?? "north",
        capacity: { cpus, memory_mb: cpus * 1024, disk_mb: 100_000 },
      };
      this.#hosts.set(id, new SimHost(shape, around, this.#chance.of(id)));
    }
  }

  #begin(): void {
    const [time, chance, commands] = [this.#time, this.#chance, this.#commands];
    this.#control.start();
    for (const host of this.#hosts.values()) time.after(chance.between(0, BEGUN_MS / 2), () => host.start());
    const apps = Math.max(3, Math.floor(this.#hosts.size / 20));
    for (let index = 0; index < apps; index += 1) {
      time.after(
        BEGUN_MS + index * 200,
        () =>
          void commands.createApp(commands.randomDeploy(this.#hosts.size)).catch((error: unknown) => time.fail(error)),
      );
    }
    time.after(BEGUN_MS * 2, () => this.#chaos.start());
  }

  #repeat(ms: number, run: () => void): void {
    this.#time.after(ms, () => {
      run();
      this.#repeat(ms, run);
    });
  }

  #tell(error: unknown): string {
    const { seed, agents, minutes } = this.#terms;
    const about = error instanceof Violation ? error.about.filter((name) => name !== "").slice(0, 6) : ["daemon"];
    const what =
      error instanceof Violation
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    const before = this.#trace.last(about, TOLD_LINES).map((line) => `    ${line.slice(0, 400)}`);
    return [
      `seed ${seed} at ${clockText(this.#time.now)}: ${what}`,
      `  what happened to ${about.join(", ")} before:`,
      ...before,
      `  again: scripts/simulate --seed ${seed} --agents ${agents} --minutes ${minutes}`,
    ].join("\n");
  }
}
