/** The world of an agent without processes, disks and networks: each of its interfaces, driven by the test. */
import type { Membership } from "../../src/agent/allegiance.ts";
import type { LoadedRecords, MachineRecord, MachineStore } from "../../src/agent/records.ts";
import type { Checks, Exit, Images, Launch, Launched, RunningMachine, Runtime } from "../../src/agent/runtime.ts";
import type { DesiredMachine, HeartbeatAnswer } from "../../src/wire/agents.ts";
import type { ControlPlane } from "../../src/agent/loop-parts.ts";
import type { RegisterAnswer } from "../../src/wire/agents.ts";
import type { HeartbeatRequest, OwnRegistration } from "../../src/agent/loop-parts.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { Log, LogFields, LogLevel } from "../../src/lib/log.ts";

export const IMAGE = `sha256:${"a".repeat(64)}`;

export function desired(id: string, changes: Partial<DesiredMachine> = {}): DesiredMachine {
  return {
    id,
    app_id: "app",
    image: IMAGE,
    cpus: 1,
    memory_mb: 64,
    env: {},
    restart: "on-failure",
    check: undefined,
    desired_state: "running",
    starts: undefined,
    ...changes,
  };
}

export class FakeLog implements Log {
  readonly lines: { readonly level: LogLevel; readonly message: string; readonly fields: LogFields }[] = [];
  debug = (message: string, fields: LogFields = {}): void => this.#add("debug", message, fields);
  info = (message: string, fields: LogFields = {}): void => this.#add("info", message, fields);
  warn = (message: string, fields: LogFields = {}): void => this.#add("warn", message, fields);
  error = (message: string, fields: LogFields = {}): void => this.#add("error", message, fields);

  count(level: LogLevel): number {
    return this.lines.filter((line) => line.level === level).length;
  }

  #add(level: LogLevel, message: string, fields: LogFields): void {
    this.lines.push({ level, message, fields });
  }
}

/** One start of a machine, which the test ends. */
export class FakeProcess {
  readonly id: string;
  readonly launchId: string;
  terminated = 0;
  killed = 0;
  alive = true;
  readonly exited: Promise<Exit>;
  #resolve: (exit: Exit) => void = () => undefined;

  constructor(id: string, launchId: string) {
    this.id = id;
    this.launchId = launchId;
    this.exited = new Promise((resolve) => (this.#resolve = resolve));
  }

  exit(code: number | null): void {
    this.alive = false;
    this.#resolve({ code, detail: null });
  }
}

export class FakeRuntime implements Runtime {
  readonly #clock: Clock;
  readonly processes: FakeProcess[] = [];
  /** Thrown by the next starts, in order. */
  readonly refusals: Error[] = [];
  /** What `search` fails with. */
  blind: Error | null = null;
  /** Holds starts until the test lets them go on. */
  gate: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async launch({ machine, launchId }: Launch): Promise<RunningMachine> {
    await this.gate;
    const refusal = this.refusals.shift();
    if (refusal !== undefined) throw refusal;
    const started = new FakeProcess(machine.id, launchId);
    this.processes.push(started);
    return this.#running(started);
  }

  adopt({ id, launchId }: Launched): Promise<RunningMachine | Exit> {
    const found = this.processes.find((each) => each.id === id && each.launchId === launchId);
    return Promise.resolve(found?.alive === true ? this.#running(found) : { code: null, detail: "gone" });
  }

  search(id: string): Promise<RunningMachine | null> {
    const found = this.alive(id)[0];
    if (this.blind !== null) return Promise.reject(this.blind);
    return Promise.resolve(found === undefined ? null : this.#running(found));
  }

  marked(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set(this.processes.filter(({ alive }) => alive).map(({ id }) => id)));
  }

  /** What runs now, by id. */
  alive(id: string): FakeProcess[] {
    return this.processes.filter((each) => each.id === id && each.alive);
  }

  last(id: string): FakeProcess {
    const found = this.processes.findLast((each) => each.id === id);
    if (found === undefined) throw new Error(`${id} was never started`);
    return found;
  }

  #running(process: FakeProcess): RunningMachine {
    return {
      handle: { of: process.launchId },
      startedAt: this.#clock.wall(),
      exited: process.exited,
      terminate: () => void (process.terminated += 1),
      kill: () => {
        process.killed += 1;
        process.exit(null);
      },
    };
  }
}

export class FakeImages implements Images {
  readonly asked: string[] = [];
  readonly refusals: Error[] = [];
  gate: Promise<void> = Promise.resolve();

  /** Of each call. */
  readonly signals: AbortSignal[] = [];

  async ensure(digest: string, signal: AbortSignal): Promise<string> {
    this.asked.push(digest);
    this.signals.push(signal);
    await Promise.race([this.gate, new Promise((resolve) => signal.addEventListener("abort", resolve))]);
    signal.throwIfAborted();
    const refusal = this.refusals.shift();
    if (refusal !== undefined) throw refusal;
    return `/images/${digest}`;
  }
}

export class FakeChecks implements Checks {
  readonly watched = new Map<string, (failure: string | null) => void>();
  /** What each watch began with, by machine. */
  readonly began = new Map<string, boolean[]>();

  watch(machine: DesiredMachine, tell: (failure: string | null) => void, wasReady: boolean): () => void {
    this.watched.set(machine.id, tell);
    this.began.set(machine.id, [...(this.began.get(machine.id) ?? []), wasReady]);
    return () => void this.watched.delete(machine.id);
  }
}

/** Records as another agent would read them: through JSON and back. */
export class MemoryStore implements MachineStore {
  readonly records = new Map<string, MachineRecord>();
  /** Ids whose records cannot be read. */
  readonly lost = new Set<string>();
  failing: Error | null = null;

  lose(id: string): void {
    this.records.delete(id);
    this.lost.add(id);
  }

  load(): Promise<LoadedRecords> {
    return Promise.resolve({
      records: [...this.records.values()],
      lost: [...this.lost].map((id) => ({ id, path: `memory/${id}`, reason: "spoilt" })),
    });
  }

  setAside(id: string): Promise<void> {
    this.lost.delete(id);
    return Promise.resolve();
  }

  save(record: MachineRecord): Promise<void> {
    if (this.failing !== null) return Promise.reject(this.failing);
    this.records.set(record.machine.id, JSON.parse(JSON.stringify(record)) as MachineRecord);
    return Promise.resolve();
  }

  remove(id: string): Promise<void> {
    this.records.delete(id);
    return Promise.resolve();
  }
}

export class FakeMembership implements Membership {
  clusterId: string | null = null;
  offered: string | null = null;
  word: string | null = null;
  offlineAfterMs = 30_000;

  learn(offlineAfterMs: number): Promise<void> {
    this.offlineAfterMs = offlineAfterMs;
    return Promise.resolve();
  }

  join(clusterId: string): Promise<void> {
    this.clusterId = clusterId;
    return Promise.resolve();
  }

  offer(clusterId: string): Promise<void> {
    this.offered = clusterId;
    return Promise.resolve();
  }

  accepted(): Promise<string | null> {
    return Promise.resolve(this.word);
  }
}

export interface Beat {
  readonly request: HeartbeatRequest;
  readonly at: number;
  readonly answer: (answer: Partial<HeartbeatAnswer>) => void;
  readonly fail: (error: Error) => void;
}

/** Every call waits until the test answers it. */
export class FakeControl implements ControlPlane {
  readonly #clock: Clock;
  readonly registrations: {
    readonly request: OwnRegistration;
    readonly at: number;
    readonly answer: (answer?: Partial<RegisterAnswer>) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  readonly beats: Beat[] = [];
  readonly deregistered: string[] = [];
  /** What every further deregistration meets. */
  refusal: Error | null = null;
  cluster = "c-1";
  intervalSeconds = 10;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  register(request: OwnRegistration): Promise<RegisterAnswer> {
    return new Promise((resolve, reject) => {
      const answer = (changes: Partial<RegisterAnswer> = {}): void =>
        resolve({
          host: { id: request.host_id },
          cluster_id: this.cluster,
          heartbeat_interval_seconds: this.intervalSeconds,
          offline_after_seconds: 30,
          ...changes,
        });
      this.registrations.push({ request, at: this.#clock.mono(), answer, fail: reject });
    });
  }

  heartbeat(hostId: string, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    return new Promise((resolve, reject) => {
      const answer = (changes: Partial<HeartbeatAnswer>): void =>
        resolve({
          host_id: hostId,
          cluster_id: this.cluster,
          status: "active",
          revision: "r-0",
          machines: undefined,
          ...changes,
        });
      this.beats.push({ request, at: this.#clock.mono(), answer, fail: reject });
    });
  }

  deregister(hostId: string): Promise<void> {
    this.deregistered.push(hostId);
    return this.refusal === null ? Promise.resolve() : Promise.reject(this.refusal);
  }

  beat(index: number): Beat {
    const found = this.beats.at(index);
    if (found === undefined) throw new Error(`there is no beat ${index}; there are ${this.beats.length}`);
    return found;
  }
}

/** Keeps this test's process alive to its end: the product's timers and machines do not. */
export function stayAlive(after: (run: () => void) => void): void {
  const timer = setInterval(() => undefined, 1_000);
  after(() => clearInterval(timer));
}
