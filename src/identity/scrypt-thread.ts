/**
 * Hands one password at a time to the scrypt thread, which starts with the first and dies with the daemon; it keeps no
 * password.
 */
import { Worker } from "node:worker_threads";
import { workerUrl } from "../lib/worker-url.ts";
import type { ScryptAnswer, ScryptTask } from "./scrypt-worker.ts";

const WORKER = workerUrl("scrypt-worker", import.meta.url);

/** Derives one key at a time; whoever calls sees to that. */
export interface Deriver {
  derive(task: ScryptTask): Promise<Buffer>;
}

export class ScryptThread implements Deriver {
  #worker: Worker | null = null;

  /** Rejects on parameters that scrypt refuses, or when the thread ends. */
  derive(task: ScryptTask): Promise<Buffer> {
    const worker = (this.#worker ??= this.#start());
    // Held while it works, let go of after: an idle thread never keeps the process alive.
    worker.ref();
    return new Promise<Buffer>((resolve, reject) => {
      const settle = (finish: () => void): void => {
        worker.off("message", answered).off("exit", ended);
        worker.unref();
        finish();
      };
      const answered = (answer: ScryptAnswer): void =>
        settle(() => ("key" in answer ? resolve(Buffer.from(answer.key)) : reject(new Error(answer.failed))));
      const ended = (): void => settle(() => reject(new Error("the scrypt thread ended")));
      worker.on("message", answered).on("exit", ended);
      worker.postMessage(task);
    });
  }

  #start(): Worker {
    const worker = new Worker(WORKER);
    // An error ends the thread, and the end is what counts: who waits is told, and the next password starts another.
    worker.on("error", () => undefined);
    worker.once("exit", () => (this.#worker = null));
    return worker;
  }
}
