/**
 * Any sequence of commands, replayed from the log, from a snapshot plus the rest, or cut at any acknowledged point,
 * gives the state that lived; a failed write takes back exactly what it must.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { Allocations, allocationOf } from "../../src/fleet/allocations.ts";
import { DesiredLists, computeDesired } from "../../src/fleet/desired.ts";
import type { JournalRecord } from "../../src/journal/types.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { SYSTEM } from "../../src/state/events.ts";
import { reducers } from "../../src/state/reducers.ts";
import { State } from "../../src/state/state.ts";
import { Replay, Store } from "../../src/state/store.ts";
import { FakeClock, turn } from "../support/clock.ts";
import { idOf } from "../support/ids.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { random } from "../support/random.ts";
import { linesOf } from "../support/rows.ts";
import { randomCommand } from "./workload.ts";
import type { Random } from "./workload.ts";

const SEQUENCES = 200;
/** Some events need luck, and a new command deals the cards anew: so many more are played while one is missing. */
const AT_MOST = 400;
const COMMANDS = 80;
/** Events that no command makes: the journal's own line, and a restore's. */
const NO_COMMAND = ["journal.segment", "cluster.restored"];

/**
 * The state after each seq, as it was when the command had just run; a seq that was given up is given, and told, again.
 */
type History = Map<number, readonly string[]>;

function replayOf(snapshot: readonly string[], records: readonly JournalRecord[]): State {
  const state = new State();
  const replay = new Replay(state);
  for (const line of snapshot) replay.snapshotLine(JSON.parse(line));
  for (const record of records) replay.record(record);
  return state;
}

interface Caches {
  readonly lists: DesiredLists;
  readonly allocations: Allocations;
}

/** Groups and lists that are derived say what the rows say. */
function assertDerived(state: State, { lists, allocations }: Caches, why: string): void {
  for (let i = 0; i < 6; i++) {
    const id = `h-${i}`;
    const own = [...state.machines.values()].filter((machine) => machine.host_id === id);
    assert.deepEqual(new Set(state.machines.group(idOf(id))), new Set(own), `${why}: machines of ${id}`);
    assert.deepEqual(lists.of(state, idOf(id)), computeDesired(state, own), `${why}: the list of ${id}`);
    assert.deepEqual(allocations.of(state, idOf(id)), allocationOf(state, idOf(id)), `${why}: what is taken of ${id}`);
  }
  for (const machine of state.machines.values()) {
    const own = [...state.machines.values()].filter((other) => other.app_id === machine.app_id);
    assert.deepEqual(
      new Set(state.machinesOf(machine.app_id)),
      new Set(own),
      `${why}: machines of app ${machine.app_id}`,
    );
    const present = own.filter((other) => !(other.removing && other.ended_at !== null));
    assert.deepEqual(
      new Set(state.presentOf(machine.app_id)),
      new Set(present),
      `${why}: machines of app ${machine.app_id} that are not gone`,
    );
  }
  for (const ref of state.imageRefs.values())
    assert.ok(state.images.get(ref.digest) !== undefined, `${why}: ${ref.digest} has a reference and no image`);
  for (const image of state.images.values()) {
    const refs = [...state.imageRefs.values()].filter((ref) => ref.digest === image.digest);
    assert.ok(refs.length > 0, `${why}: ${image.digest} is kept without a reference`);
    assert.deepEqual(new Set(state.imageRefs.group(image.digest)), new Set(refs), why);
  }
}

class Run {
  readonly log = new MemoryLog();
  readonly clock = new FakeClock();
  readonly state = new State();
  readonly store = new Store(this.state, this.log, this.clock);
  readonly history: History = new Map([[0, []]]);
  readonly #caches: Caches = { lists: new DesiredLists(), allocations: new Allocations() };
  readonly #random: Random;
  readonly #why: string;
  #open = 0;
  failures = 0;

  constructor(seed: number) {
    this.#random = random(seed);
    this.#why = `seed ${seed}`;
  }

  async play(): Promise<void> {
    for (let serial = 0; serial < COMMANDS; serial++) {
      this.clock.advance(this.#random(2_000));
      this.#command(serial);
      assertDerived(this.state, this.#caches, `${this.#why}, command ${serial}`);
      if (this.#random(3) === 0) this.log.sync(this.#random(6));
      if (this.#random(16) === 0) this.#fail(serial);
      if (this.#random(3) === 0) await turn();
    }
    // What a failure took back is decided anew, and may write then.
    await turn();
    this.log.sync();
    await turn();
    assert.equal(this.#open, 0, `${this.#why}: every command has its answer`);
  }

  #command(serial: number): void {
    const command = randomCommand(this.#random, serial);
    const why = `${this.#why}, command ${serial}`;
    const before = this.log.lastSeq;
    const seen: { lines: readonly string[]; seq: number } = { lines: [], seq: 0 };
    const work = this.store.change(SYSTEM, (state) => ({
      event: command(state),
      answer: () => {
        seen.lines = linesOf(state);
        seen.seq = this.log.lastSeq;
        this.history.set(seen.seq, seen.lines);
      },
    }));
    if (this.log.lastSeq === before)
      assert.deepEqual(
        linesOf(this.state),
        this.history.get(before),
        `${why}: nothing was written, so nothing changed`,
      );
    if (!(work instanceof Promise)) return;
    this.#open++;
    const answered = (): void => {
      assert.ok(this.log.durable.seq >= seen.seq, `${why}: answered before it was on disk`);
      assert.deepEqual(this.history.get(seen.seq), seen.lines, `${why}: answered for another line`);
    };
    const refused = (error: unknown): void =>
      assert.ok(error instanceof ApiError && error.code === "storage_failed", `${why}: ${String(error)}`);
    void work.then(answered, refused).finally(() => this.#open--);
  }

  /** A write fails: the state must be the acknowledged one, to the byte. */
  #fail(serial: number): void {
    this.failures++;
    this.log.fail("no space");
    const why = `${this.#why}, failure after command ${serial}`;
    assert.deepEqual(linesOf(this.state), this.history.get(this.log.durable.seq), why);
    assert.deepEqual(linesOf(this.state), linesOf(replayOf([], this.log.records)), why);
    assertDerived(this.state, this.#caches, why);
  }
}

test(`${SEQUENCES} random sequences live, fail, and are replayed to the state that lived`, async () => {
  const types = new Map<string, number>();
  let records = 0;
  let failures = 0;
  const rare = (): string[] =>
    Object.keys(reducers).filter((type) => !NO_COMMAND.includes(type) && (types.get(type) ?? 0) < 2);
  for (let seed = 1; seed <= SEQUENCES || (seed <= AT_MOST && rare().length > 0); seed++) {
    const run = new Run(seed);
    await run.play();
    records += run.log.records.length;
    for (const { type } of run.log.records) types.set(type, (types.get(type) ?? 0) + 1);
    failures += run.failures;
    assert.deepEqual(linesOf(replayOf([], run.log.records)), linesOf(run.state), `seed ${seed}: the whole log`);
  }
  // The sequences are worth something: they wrote, and they lost.
  assert.ok(records > SEQUENCES * COMMANDS * 0.25, `${records} lines`);
  assert.ok(failures > SEQUENCES, `${failures} failures`);
  assert.deepEqual(rare(), [], "every event of the vocabulary takes part");
});

test("a log cut at any acknowledged point gives the state of that point", async () => {
  for (let seed = 1_001; seed <= 1_040; seed++) {
    const run = new Run(seed);
    await run.play();
    const state = new State();
    const replay = new Replay(state);
    run.log.records.forEach((record, index) => {
      replay.record(record);
      assert.deepEqual(linesOf(state), run.history.get(index + 1), `seed ${seed}, cut after seq ${index + 1}`);
    });
  }
});

test("a snapshot of any point and the rest of the log give the state that lived", async () => {
  for (let seed = 2_001; seed <= 2_060; seed++) {
    const run = new Run(seed);
    await run.play();
    const { records } = run.log;
    for (const point of [0, 1, records.length >> 2, records.length >> 1, records.length - 1, records.length]) {
      const snapshot = linesOf(replayOf([], records.slice(0, point)));
      assert.deepEqual(
        linesOf(replayOf(snapshot, records.slice(point))),
        linesOf(run.state),
        `seed ${seed}, snapshot at seq ${point}`,
      );
    }
  }
});
