/**
 * Runs something on a disk in memory and, for a power cut before every effect of every call, gives the disks that may
 * be left and what had been said by then.
 */
import { messageOf } from "../../src/lib/errors.ts";
import type { MemoryFolder } from "./memory-disk.ts";
import { PowerCutFiles } from "./power-cut-files.ts";
import { type Dice, Frozen, PageNumbers } from "./survivors.ts";

interface Moment<T> {
  readonly before: string;
  readonly frozen: Frozen;
  readonly said: T;
}

export class PowerCuts<T> {
  readonly files: PowerCutFiles;
  readonly #moments: Moment<T>[] = [];
  readonly #numbers = new PageNumbers();
  readonly #say: () => T;

  /** Cuts from now on. `say` tells what has been promised up to the moment it is called. */
  constructor(files: PowerCutFiles, say: () => T) {
    this.files = files;
    this.#say = say;
    files.beforeEffect = (call) => this.#note(`before call ${this.#moments.length + 1}, ${call}`);
  }

  #note(before: string): void {
    this.#moments.push({ before, frozen: new Frozen(this.files, this.#numbers), said: this.#say() });
  }

  /**
   * Starts anew on every survivor, at most `most` for each moment, and judges what the start found by what had been
   * said. A disk that was seen before is judged again and not started again. Gives the numbers of moments and of
   * different disks.
   */
  async judgeAll<R>(
    most: number,
    dice: Dice,
    start: (disk: MemoryFolder) => Promise<R>,
    judge: (found: R, said: T) => void,
  ): Promise<{ readonly moments: number; readonly disks: number }> {
    this.#note("at the end");
    this.files.beforeEffect = () => undefined;
    const found = new Map<string, R>();
    for (const { before, frozen, said } of this.#moments) {
      for (const { root, print } of frozen.survivors(most, dice)) {
        try {
          const result = found.get(print) ?? (await start(root));
          found.set(print, result);
          judge(result, said);
        } catch (error) {
          throw new Error(`power cut ${before}: ${messageOf(error)}`, { cause: error });
        }
      }
    }
    return { moments: this.#moments.length, disks: found.size };
  }
}
