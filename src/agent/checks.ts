/**
 * When a machine is ready: reads its check, asks again and again, and tells of changes. How one question is asked is
 * the Prober's.
 */
import type { Check } from "../wire/check.ts";
import { CHECK } from "../wire/check.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { readBody } from "../wire/schema.ts";
import type { Checks } from "./runtime.ts";
import type { DesiredMachine } from "../wire/agents.ts";

export type Probe =
  | {
      readonly type: "http";
      readonly host: string;
      readonly port: number;
      readonly path: string;
      readonly timeoutMs: number;
    }
  | { readonly type: "tcp"; readonly host: string; readonly port: number; readonly timeoutMs: number }
  | { readonly type: "exec"; readonly command: readonly string[]; readonly timeoutMs: number };

/**
 * Asks once. Resolves with null where all is well, else with a short reason, and perhaps lines that tell more. Called
 * off, it resolves at once.
 */
export type Prober = (probe: Probe, machine: DesiredMachine, signal: AbortSignal) => Promise<string | null>;

/** Told of each new failure in lines, for whoever reads what the machine wrote. */
export type Note = (machine: DesiredMachine, lines: readonly string[]) => void;

/** So often while a machine is not ready, where its interval is longer: what waits for it waits no longer than this. */
const EAGER_MS = 500;
const INTERVAL_SECONDS = 5;
const TIMEOUT_SECONDS = 2;
const FAILURES = 3;

export class ProbingChecks implements Checks {
  readonly #clock: Clock;
  readonly #prober: Prober;
  readonly #note: Note;

  constructor(clock: Clock, prober: Prober, note: Note = () => undefined) {
    this.#clock = clock;
    this.#prober = prober;
    this.#note = note;
  }

  watch(machine: DesiredMachine, tell: (failure: string | null) => void, wasReady = false): Cancel {
    let plan: Plan;
    try {
      plan = toPlan(readBody(CHECK, machine.check));
    } catch (error) {
      const cancel = this.#clock.after(0, () => tell(`its check is not understood by this agent: ${messageOf(error)}`));
      return cancel;
    }
    const hear = (failure: string | null): void => {
      const lines = failure?.split("\n") ?? [];
      if (failure !== null) this.#note(machine, lines);
      tell(failure === null ? null : `its check fails: ${describe(lines)}`);
    };
    const watch = new Watch(this.#clock, plan, (signal) => this.#prober(plan.probe, machine, signal), hear, wasReady);
    watch.ask();
    return () => watch.cancel();
  }
}

interface Plan {
  readonly probe: Probe;
  readonly intervalMs: number;
  readonly failures: number;
}

function toPlan(check: Check): Plan {
  const timeoutMs = (check.timeout_seconds ?? TIMEOUT_SECONDS) * 1000;
  return {
    probe: toProbe(check, timeoutMs),
    intervalMs: (check.interval_seconds ?? INTERVAL_SECONDS) * 1000,
    failures: check.failures ?? FAILURES,
  };
}

function toProbe({ type, host = "127.0.0.1", port, path = "/", command = [] }: Check, timeoutMs: number): Probe {
  if (type === "exec") {
    if (command.length === 0) throw new Error("command is required.");
    return { type, command, timeoutMs };
  }
  if (port === undefined) throw new Error("port is required.");
  return type === "http" ? { type, host, port, path, timeoutMs } : { type, host, port, timeoutMs };
}

/** `exit 1: its last words | in some lines` */
function describe([why = "", ...lines]: readonly string[]): string {
  return lines.length === 0 ? why : `${why}: ${lines.join(" | ")}`;
}

/** One machine's check, from its start to its end. */
class Watch {
  readonly #clock: Clock;
  readonly #plan: Plan;
  readonly #probe: (signal: AbortSignal) => Promise<string | null>;
  readonly #tell: (failure: string | null) => void;
  readonly #over = new AbortController();
  #cancelTimer: Cancel = () => undefined;
  #ready: boolean;
  #failed = 0;

  constructor(
    clock: Clock,
    plan: Plan,
    probe: (signal: AbortSignal) => Promise<string | null>,
    tell: (failure: string | null) => void,
    wasReady: boolean,
  ) {
    this.#clock = clock;
    this.#plan = plan;
    this.#probe = probe;
    this.#tell = tell;
    this.#ready = wasReady;
  }

  cancel(): void {
    this.#over.abort();
    this.#cancelTimer();
  }

  ask(): void {
    void this.#probe(this.#over.signal)
      .catch((error: unknown) => messageOf(error))
      .then((failure) => {
        if (this.#over.signal.aborted) return;
        this.#judge(failure);
        const { intervalMs } = this.#plan;
        this.#cancelTimer = this.#clock.after(this.#ready ? intervalMs : Math.min(intervalMs, EAGER_MS), () =>
          this.ask(),
        );
      });
  }

  #judge(failure: string | null): void {
    this.#failed = failure === null ? 0 : this.#failed + 1;
    if (failure === null && !this.#ready) {
      this.#ready = true;
      this.#tell(null);
    } else if (failure !== null && this.#failed === this.#plan.failures) {
      // Said once, so that words which differ at every try fill no log.
      this.#ready = false;
      this.#tell(failure);
    }
  }
}
