/**
 * What all following has in common: a line for each change, questions asked until they are answered, and a Ctrl-C that
 * ends only the watching.
 */
import { ClientError } from "../client/errors.ts";
import type { Answer } from "../client/exchange.ts";
import type { Call } from "../client/http.ts";
import { formatElapsed } from "./format.ts";
import { CliError, pause } from "./io.ts";
import type { Session } from "./session.ts";

const POLL_MS = 1_000;
/** A daemon that is upgraded is back long before this. */
const PATIENCE_MS = 120_000;
/** An answer that takes long costs the daemon much: it is at work on them at most a fifth of the time. */
const REST_PER_WORK = 4;
const LONGEST_REST_MS = 30_000;
/** Of things that have come to the same at once, so many are named. */
const NAMED = 3;

export interface Followed {
  /** Goes before every line: the host, the app. */
  readonly name: string;
  /** What goes on by itself: `drain`, `deployment`. */
  readonly what: string;
  /** How to look at it later, the end of a sentence: `see "zwrm host drain-status h-1"`. */
  readonly look: string;
}

/** One of many things that are followed, and what there is to say of it. */
export interface Change {
  /** `m-1` */
  readonly id: string;
  /** `starting on h-3` */
  readonly text: string;
}

export class Following {
  readonly session: Session;
  readonly #followed: Followed;
  /** What the answers since the last rest took. */
  #workMs = 0;

  constructor(session: Session, followed: Followed) {
    this.session = session;
    this.#followed = followed;
  }

  /** Monotonic, in milliseconds. */
  get now(): number {
    return this.session.io.clock.mono();
  }

  /** A line on stdout; with --json, which keeps that for the last answer, on stderr. */
  say(text: string): void {
    const line = `${this.#followed.name}: ${text}`;
    if (this.session.json) this.session.note(line);
    else this.session.line(line);
  }

  /**
   * A line for each; one for all that have come to the same, where they are many: a hundred machines that wait for room
   * are one piece of news.
   */
  sayChanges(changes: readonly Change[]): void {
    const alike = new Map<string, string[]>();
    for (const { id, text } of changes) {
      const ids = alike.get(text);
      if (ids === undefined) alike.set(text, [id]);
      else ids.push(id);
    }
    for (const [text, ids] of alike) {
      if (ids.length <= NAMED) for (const id of ids) this.say(`${id} ${text}`);
      else this.say(`${ids.slice(0, NAMED).join(", ")} and ${ids.length - NAMED} more ${text}`);
    }
  }

  /** Waits until it is time to ask again. */
  async rest(): Promise<void> {
    const ms = Math.min(LONGEST_REST_MS, Math.max(POLL_MS, this.#workMs * REST_PER_WORK));
    this.#workMs = 0;
    await pause(this.session.io.clock, ms);
  }

  /**
   * A call that is made until there is an answer: the work goes on while the daemon restarts, and so does this. Only
   * for calls that may be made twice.
   */
  async ask(method: string, path: string, call: Call = {}): Promise<Answer> {
    const since = this.now;
    for (let attempt = 0; ; attempt += 1) {
      const asked = this.now;
      try {
        const answer = await this.session.call(method, path, call);
        this.#workMs += this.now - asked;
        if (attempt > 0) this.say("the daemon answers again");
        return answer;
      } catch (error) {
        if (!(error instanceof ClientError) || !isPassing(error)) throw error;
        if (attempt === 0) this.say(`no answer, trying again: ${error.message}`);
        const silent = this.now - since;
        if (silent >= PATIENCE_MS) {
          const { what, look } = this.#followed;
          throw new CliError(`No answer for ${formatElapsed(silent)}. The ${what} itself may go on: ${look}.`, {
            cause: error,
          });
        }
        await pause(this.session.io.clock, POLL_MS);
      }
    }
  }

  /**
   * Does `work`. A Ctrl-C meanwhile ends the program, after it said that the rest goes on and how to look at it; `more`
   * ends that sentence.
   */
  async untilInterrupted<T>(more: string, work: () => Promise<T>): Promise<T> {
    const { stdin, stderr } = this.session.io;
    const { name, what, look } = this.#followed;
    const letGo = stdin.onInterrupt(() => {
      // The terminal shows ^C where the cursor stands.
      if (stderr.isTerminal) stderr.write("\n");
      this.session.note(`${name}: no longer followed; the ${what} goes on: ${look}${more}.`);
    });
    try {
      return await work();
    } finally {
      letGo();
    }
  }
}

/**
 * What of a text is news, for comparing: a time never is, nor are the numbers in the reason of what waits, which move
 * with everything around it.
 */
export function newsIn(state: string, text: string): string {
  const timeless = text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "");
  return state === "pending" || state === "blocked" ? timeless.replace(/\d+/g, "") : timeless;
}

/**
 * Whether the same call may be answered in a moment: the daemon restarts, is busy, or a proxy before it waits for it.
 */
export function isPassing({ code, status }: ClientError): boolean {
  return (
    code === "unreachable" ||
    code === "closed" ||
    code === "timeout" ||
    status === 429 ||
    status === 502 ||
    status === 503 ||
    status === 504
  );
}
