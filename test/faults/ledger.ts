/** What a client of the journal was told, and the judgement whether a replay keeps to it. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { ReplayTarget } from "../../src/journal/journal.ts";
import type { JournalEntry } from "../../src/journal/types.ts";

export const SEGMENT_TYPE = "journal.segment";
export const CHANGE_TYPE = "test.changed";
const ACTOR = { kind: "user", id: "u-1", ip: "192.0.2.7" };

/** How much had been said at some moment. */
export interface Said {
  readonly acknowledged: number;
  readonly refused: number;
}

/** A record as a replay gave it, from a snapshot or a line. */
export interface Seen {
  readonly seq: number;
  readonly type: string;
  readonly data: unknown;
}

interface Told extends Seen {
  readonly mark: number;
}

export class Ledger {
  #marks = 0;
  readonly #submitted = new Map<number, Told[]>();
  readonly #acknowledged: Told[] = [];
  readonly #refused: Told[] = [];
  /** Everything that the journal found wrong, in its words. */
  readonly complaints: string[] = [];

  /** A new change of about `bytes` bytes that is like no other. */
  change(bytes: number): { readonly mark: number; readonly entry: JournalEntry } {
    const mark = ++this.#marks;
    return {
      mark,
      entry: {
        at: "2026-01-02T03:04:05.678Z",
        type: CHANGE_TYPE,
        actor: ACTOR,
        data: { mark, padding: String.fromCharCode(97 + (mark % 26)).repeat(bytes) },
      },
    };
  }

  submitted(seq: number, mark: number, { type, data }: JournalEntry): Told {
    const told = { seq, mark, type, data };
    this.#submitted.set(seq, [...(this.#submitted.get(seq) ?? []), told]);
    return told;
  }

  acknowledged(told: Told): void {
    this.#acknowledged.push(told);
  }

  /**
   * `isSure`: the client was told that it was not written, and that is no matter of a failed sync or a disk that failed
   * for good.
   */
  refused(told: Told, isSure: boolean): void {
    if (isSure) this.#refused.push(told);
  }

  get said(): Said {
    return { acknowledged: this.#acknowledged.length, refused: this.#refused.length };
  }

  /**
   * Throws where `seen` lacks an acknowledged record, or has one that was never submitted so, half there, out of order,
   * or refused.
   */
  judge(seen: readonly Seen[], said: Said = this.said): void {
    seen.forEach((record, index) => {
      assert.equal(record.seq, index + 1, "a replay has no gaps and no order of its own");
      if (record.type === SEGMENT_TYPE) return;
      const submitted = this.#submitted.get(record.seq) ?? [];
      assert.ok(
        submitted.some(({ type, data }) => type === record.type && isDeepStrictEqual(data, record.data)),
        `seq ${record.seq} was never submitted as it was replayed`,
      );
    });
    for (const { seq, mark } of this.#acknowledged.slice(0, said.acknowledged))
      assert.equal(markOf(seen[seq - 1]), mark, `acknowledged seq ${seq} is there`);
    for (const { seq, mark } of this.#refused.slice(0, said.refused))
      assert.notEqual(markOf(seen[seq - 1]), mark, `seq ${seq} was refused and is there`);
  }
}

function markOf(record: Seen | undefined): unknown {
  const data = record?.data;
  return typeof data === "object" && data !== null && "mark" in data ? data.mark : null;
}

/** A layer above the journal whose state is all it has been given. */
export class Memory implements ReplayTarget {
  seen: Seen[] = [];

  snapshotLine(line: unknown): void {
    assert.ok(typeof line === "object" && line !== null && "seq" in line && "type" in line && "data" in line);
    assert.ok(typeof line.seq === "number" && typeof line.type === "string");
    this.seen.push({ seq: line.seq, type: line.type, data: line.data });
  }

  reset(): void {
    this.seen = [];
  }

  record({ seq, type, data }: Seen): void {
    this.seen.push({ seq, type, data });
  }

  /** This state as the lines of a snapshot. */
  *lines(): Generator<string> {
    for (const record of this.seen) yield JSON.stringify(record);
  }
}
