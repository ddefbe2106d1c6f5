/**
 * Work on closed segments beside the traffic: snapshots after a segment closed, verification after a start. One thread
 * at a time.
 */
import { Worker } from "node:worker_threads";
import { workerUrl } from "../lib/worker-url.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { JournalTask, TaskAnswer } from "./journal-worker.ts";

const WORKER = workerUrl("journal-worker", import.meta.url);

export class JournalBackground {
  readonly #folder: string;
  readonly #log: Log;
  readonly #waiting: JournalTask["task"][] = [];
  #running: Worker | null = null;
  #stopped = false;

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Asks for a task; one that waits already is not asked for twice. */
  request(task: JournalTask["task"]): void {
    if (this.#stopped || this.#waiting.includes(task)) return;
    this.#waiting.push(task);
    this.#next();
  }

  /** Ends a task in the middle; a snapshot that is not whole yet is none. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running?.terminate();
  }

  #next(): void {
    if (this.#running !== null || this.#stopped) return;
    const task = this.#waiting.shift();
    if (task === undefined) return;
    const given: JournalTask = { task, folder: this.#folder };
    const worker = new Worker(WORKER, { workerData: given });
    worker.unref();
    this.#running = worker;
    worker.once("message", (answer: TaskAnswer) => this.#tell(task, answer));
    worker.once("error", (error) => this.#tell(task, { failed: messageOf(error) }));
    worker.once("exit", () => {
      this.#running = null;
      this.#next();
    });
  }

  #tell(task: JournalTask["task"], answer: TaskAnswer): void {
    if ("nothing" in answer) return;
    if ("done" in answer) this.#log.info(answer.done);
    else if (task === "verify")
      this.#log.error(
        "the journal is damaged in a part that a snapshot covers; the daemon runs, its past does not verify",
        { reason: answer.failed },
      );
    else this.#log.warn("no snapshot was made; the next start replays the log instead", { reason: answer.failed });
  }
}
