/**
 * The store over the real journal, on a disk that fails at random: rolled back to the acknowledged state, and the same
 * again from the files.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import { foldClosed } from "../../src/journal/fold.ts";
import { Journal } from "../../src/journal/journal.ts";
import { writeSnapshot } from "../../src/journal/snapshot.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { ApiError } from "../../src/lib/errors.ts";
import type { Files } from "../../src/lib/files.ts";
import { diskFiles } from "../../src/lib/files.ts";
import type { Log } from "../../src/lib/log.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { State } from "../../src/state/state.ts";
import { Replay, Store } from "../../src/state/store.ts";
import { random } from "../support/random.ts";
import { linesOf } from "../support/rows.ts";
import { randomCommand } from "./workload.ts";
import type { Random } from "./workload.ts";

const SEQUENCES = 25;
const ROUNDS = 12;
/** Small, so that most sequences have several segments. */
const SEGMENT_BYTES = 6_000;

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The real disk without its slow syncs; the next write or sync can be told to fail. */
class FailingDisk {
  #next: { readonly call: "write" | "sync"; readonly code: string } | null = null;
  failed = 0;

  readonly files: Files = {
    ...diskFiles,
    write: async (fd, buffer, offset, length, position) => {
      const fault = this.#take("write");
      if (fault === null) return diskFiles.write(fd, buffer, offset, length, position);
      // Part of it gets there, as on a disk that runs full.
      await diskFiles.write(fd, buffer, offset, length >> 1, position);
      throw fault;
    },
    datasync: async () => {
      const fault = this.#take("sync");
      if (fault !== null) throw fault;
    },
    syncFolder: () => Promise.resolve(),
  };

  failNext(call: "write" | "sync", code: string): void {
    this.#next = { call, code };
  }

  /** A fault that nothing has met is gone. */
  work(): void {
    this.#next = null;
  }

  #take(call: "write" | "sync"): Error | null {
    if (this.#next?.call !== call) return null;
    const { code } = this.#next;
    this.#next = null;
    this.failed++;
    return Object.assign(new Error(code), { code });
  }
}

interface Living {
  readonly journal: Journal;
  readonly state: State;
  readonly store: Store;
}

async function start(folder: string, files: Files): Promise<Living> {
  const state = new State();
  const journal = await Journal.open(
    { folder, files, clock: systemClock, log: quiet, segmentBytes: SEGMENT_BYTES },
    new Replay(state),
  );
  return { journal, state, store: new Store(state, journal, systemClock) };
}

/**
 * One life of a journal folder: rounds of concurrent commands, some of which meet a failing disk; a failed sync ends in
 * a restart.
 */
class Life {
  readonly #folder: string;
  readonly #random: Random;
  readonly #why: string;
  readonly disk = new FailingDisk();
  restarts = 0;
  /** The state after each seq that was decided in this life. */
  #history = new Map<number, readonly string[]>();
  #serial = 0;

  constructor(folder: string, seed: number) {
    this.#folder = folder;
    this.#random = random(seed);
    this.#why = `seed ${seed}`;
  }

  async play(): Promise<void> {
    let living = await start(this.#folder, this.disk.files);
    for (let round = 0; round < ROUNDS; round++) {
      const fault = this.#random(4);
      if (fault === 0) this.disk.failNext("write", "ENOSPC");
      if (fault === 1 && this.#random(2) === 0) this.disk.failNext("sync", "EIO");
      await this.#round(living, `${this.#why}, round ${round}`);
      this.disk.work();
      const { writability } = living.journal;
      if (writability.writable || !writability.untilRestart) continue;
      living = await this.#restart(living);
    }
    const last = linesOf(living.state);
    await living.journal.close();
    await this.#checkReplays(last);
  }

  async #round({ journal, state, store }: Living, why: string): Promise<void> {
    const answers = Array.from({ length: 1 + this.#random(8) }, async () => {
      const command = randomCommand(this.#random, this.#serial++);
      let seq = 0;
      try {
        await store.change(SYSTEM, (now) => ({
          event: command(now),
          answer: () => {
            seq = journal.lastSeq;
            this.#history.set(seq, linesOf(now));
          },
        }));
        assert.ok(journal.durable.seq >= seq, `${why}: answered before it was on disk`);
      } catch (error) {
        assert.ok(error instanceof ApiError && error.code === "storage_failed", `${why}: ${String(error)}`);
      }
    });
    await Promise.all(answers);
    assert.equal(journal.lastSeq, journal.durable.seq, why);
    assert.deepEqual(
      linesOf(state),
      this.#history.get(journal.durable.seq) ?? [],
      `${why}: the state is the acknowledged one`,
    );
  }

  /**
   * After a failed sync only the replay can tell what is on disk: nothing that was acknowledged may be missing, and it
   * may know no more than was decided.
   */
  async #restart({ journal, state }: Living): Promise<Living> {
    this.restarts++;
    const acknowledged = linesOf(state);
    await journal.close();
    const next = await start(this.#folder, this.disk.files);
    assert.equal(next.journal.durable.seq, journal.durable.seq, `${this.#why}: the unsure end was cut off`);
    assert.deepEqual(linesOf(next.state), acknowledged, `${this.#why}: after a restart`);
    return next;
  }

  /** The files alone: the whole log, then a snapshot of the closed segments and the rest. */
  async #checkReplays(last: readonly string[]): Promise<void> {
    const whole = await start(this.#folder, this.disk.files);
    await whole.journal.close();
    assert.deepEqual(linesOf(whole.state), last, `${this.#why}: replayed from the log`);
    const folded = new State();
    const head = await foldClosed(diskFiles, this.#folder, new Replay(folded));
    if (head === null) return;
    await writeSnapshot(diskFiles, this.#folder, head, folded.lines());
    const rest = await start(this.#folder, this.disk.files);
    await rest.journal.close();
    assert.deepEqual(
      linesOf(rest.state),
      last,
      `${this.#why}: replayed from a snapshot of seq ${head.seq} and the rest`,
    );
  }
}

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-state-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test(`${SEQUENCES} random lives over a failing disk keep what was acknowledged, and nothing else`, async (t) => {
  const folder = folderFor(t);
  let failures = 0;
  let restarts = 0;
  for (let seed = 1; seed <= SEQUENCES; seed++) {
    const life = new Life(join(folder, String(seed)), seed);
    await life.play();
    failures += life.disk.failed;
    restarts += life.restarts;
  }
  assert.ok(failures > SEQUENCES, `${failures} failures`);
  assert.ok(restarts > SEQUENCES / 3, `${restarts} restarts`);
});
