/**
 * One line of the journal as bytes, written and read back, and the chain that ties it to the line before (FORMAT.md).
 * Opens no file.
 */
import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import type { Head, JournalEntry, JournalRecord } from "./types.ts";

/** The sum before the first line. */
export const NO_SUM = "0".repeat(64);
export const CHAIN_START: Head = { seq: 0, sum: NO_SUM };
/** No line is longer, its newline included: what a reader must be ready to hold. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;
/** What stands around a tail, without the digits of seq and batch: `{"sum":"<64>","seq":,"batch":,` and the newline. */
const FRAME_BYTES = 8 + 64 + 2 + 6 + 9 + 1 + 1;
/** Everything of a line that `startOf` looks at: the frame with two numbers of 16 digits, the longest there are. */
export const LINE_START_BYTES = FRAME_BYTES + 2 * 16;
export const SUM_KEY = '{"sum":"';

const SUM_AT = SUM_KEY.length;
const SUM_LENGTH = 64;
const SUM_END = SUM_AT + SUM_LENGTH;
const REST_AT = SUM_END + '",'.length;
const KEY_BYTES = Buffer.from(SUM_KEY);
const HEX = /^[0-9a-f]{64}$/;
const START = /^\{"sum":"[0-9a-f]{64}","seq":([1-9]\d{0,15}),"batch":([1-9]\d{0,15}),/;
const KEYS = ["seq", "batch", "at", "type", "actor", "data"];
/** Room for most lines; more is made for one that is longer. */
const SUMMED_BYTES = 16 * 1024;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BRACE = 0x7b;

/** A line that cannot stand where it stands; the message ends the sentence "this line …". */
export class BadLine extends Error {}

/** The part of a line that is known before its place is: `"at":…}`. Throws what JSON.stringify throws. */
export function encodeTail(entry: JournalEntry): string {
  const { at, type, actor, data } = entry;
  return `"at":${JSON.stringify(at)},"type":${JSON.stringify(type)},"actor":${json(actor)},"data":${json(data)}}`;
}

function json(value: unknown): string {
  // undefined has no JSON; the declared type of JSON.stringify does not say so.
  return value === undefined ? "null" : JSON.stringify(value);
}

/**
 * The length of a line in bytes, its newline included; a few too many where its batch has fewer digits than its seq.
 */
export function lineBytes(seq: number, tailBytes: number): number {
  return FRAME_BYTES + 2 * String(seq).length + tailBytes;
}

/** A line with its newline, and its sum. */
export function encodeLine(
  previousSum: string,
  seq: number,
  batch: number,
  tail: string,
): { readonly sum: string; readonly line: string } {
  const rest = `"seq":${seq},"batch":${batch},${tail}`;
  const sum = hash("sha256", previousSum + rest, "hex");
  return { sum, line: `${SUM_KEY}${sum}",${rest}\n` };
}

/** The seq and batch that a line claims in its first bytes, or null where no line begins there. Checks no sum. */
export function startOf(bytes: Buffer, at: number): { readonly seq: number; readonly batch: number } | null {
  const found = START.exec(bytes.toString("latin1", at, Math.min(at + LINE_START_BYTES, bytes.length)));
  return found === null ? null : { seq: Number(found[1]), batch: Number(found[2]) };
}

/**
 * Reads the line in `bytes[start, end)`, its newline excluded, without knowing what came before: shape and types, no
 * sum. Throws BadLine.
 */
export function decodeLine(bytes: Buffer, start: number, end: number): JournalRecord {
  const sum = claimedSum(bytes, start, end);
  if (!HEX.test(sum)) throw new BadLine("has a sum that is not 64 hex characters");
  return new SummedPart().take(bytes, start, end).decode(sum);
}

/** What stands where the sum stands; whether it is one, comparing it tells. */
function claimedSum(bytes: Buffer, start: number, end: number): string {
  let isShaped = end - start > REST_AT && bytes[start + SUM_END] === QUOTE && bytes[start + SUM_END + 1] === COMMA;
  for (let at = 0; at < SUM_AT && isShaped; at++) isShaped = bytes[start + at] === KEY_BYTES[at];
  if (!isShaped)
    throw new BadLine(
      isZero(bytes, start, end) ? "is filled with NUL bytes" : 'does not begin with {"sum":"…", as every line does',
    );
  return bytes.toString("latin1", start + SUM_AT, start + SUM_END);
}

function isZero(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false;
  return end > start;
}

/**
 * What the sum of a line is over, as one stretch of bytes: the sum before, then the line behind its own sum. A copy, so
 * that a line stays as it was given; it costs nothing that could be measured (1.8 us a line of 360 bytes with it, 1.9
 * where the sum before was written into the line itself; two updates of a Hash instead are 2.4).
 */
class SummedPart {
  #bytes: Buffer = Buffer.allocUnsafe(SUMMED_BYTES);
  #end = 0;

  /** Puts the line in `bytes[start, end)` here, whose shape `claimedSum` has seen. */
  take(bytes: Buffer, start: number, end: number): this {
    this.#end = SUM_LENGTH + end - start - REST_AT;
    if (this.#end > this.#bytes.length) this.#bytes = Buffer.allocUnsafe(Math.max(this.#end, this.#bytes.length * 2));
    bytes.copy(this.#bytes, SUM_LENGTH, start + REST_AT, end);
    return this;
  }

  sumAfter(previousSum: string): string {
    this.#bytes.write(previousSum, 0, SUM_LENGTH, "latin1");
    return hash("sha256", this.#bytes.subarray(0, this.#end), "hex");
  }

  /** Reads the line, whose sum is `sum`. The last thing before the next `take`. Throws BadLine. */
  decode(sum: string): JournalRecord {
    if (!isUtf8(this.#bytes.subarray(SUM_LENGTH, this.#end))) throw new BadLine("is not UTF-8");
    // The line's object without its first key: a brace goes where the sum before has ended.
    this.#bytes[SUM_LENGTH - 1] = BRACE;
    return decodeRest(this.#bytes.toString("utf8", SUM_LENGTH - 1, this.#end), sum);
  }
}

function decodeRest(text: string, sum: string): JournalRecord {
  const value = parseJson(text);
  if (!hasKeys(value)) throw new BadLine(`does not have exactly the keys sum, ${KEYS.join(", ")}`);
  const { seq, batch, at, type, actor, data } = value;
  if (!isSeq(seq) || !isSeq(batch) || typeof at !== "string" || typeof type !== "string")
    throw new BadLine("has a key of the wrong type");
  if (!text.startsWith(`{"seq":${seq},"batch":${batch},"at":"`))
    throw new BadLine("is not written as this program writes it");
  return { sum, seq, batch, at, type, actor, data };
}

type Keyed = Readonly<Record<"seq" | "batch" | "at" | "type" | "actor" | "data", unknown>>;

/** Exactly the keys of a record, in their order. */
function hasKeys(value: unknown): value is Keyed {
  if (typeof value !== "object" || value === null) return false;
  let count = 0;
  for (const key in value) if (key !== KEYS[count++]) return false;
  return count === KEYS.length;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadLine("is not JSON");
  }
}

function isSeq(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}

/**
 * Walks the chain line by line. Where it starts without a head it takes the first line's word for its place, and checks
 * from there.
 */
export class Chain {
  readonly #summed = new SummedPart();
  #head: Head | null;
  #batch = 0;

  constructor(head: Head | null) {
    this.#head = head;
  }

  /** The last line that was taken, or where the chain started. */
  get head(): Head | null {
    return this.#head;
  }

  /** The batch of the last line taken; 0 before the first. */
  get batch(): number {
    return this.#batch;
  }

  /** Takes the line in `bytes[start, end)`, its newline excluded. Throws BadLine, and stands where it stood then. */
  take(bytes: Buffer, start: number, end: number): JournalRecord {
    const sum = claimedSum(bytes, start, end);
    const summed = this.#summed.take(bytes, start, end);
    const previous = this.#head;
    if (previous === null) {
      if (!HEX.test(sum)) throw new BadLine("has a sum that is not 64 hex characters");
    } else if (summed.sumAfter(previous.sum) !== sum) {
      throw new BadLine("does not match its sum: it, or the line before it, is not as it was written");
    }
    const record = summed.decode(sum);
    if (previous !== null && record.seq !== previous.seq + 1)
      throw new BadLine(`has seq ${record.seq}, where ${previous.seq + 1} follows`);
    if (record.batch > record.seq || record.batch < this.#batch) {
      throw new BadLine(`has batch ${record.batch}, which cannot be at seq ${record.seq} after batch ${this.#batch}`);
    }
    this.#head = { seq: record.seq, sum };
    this.#batch = record.batch;
    return record;
  }
}
