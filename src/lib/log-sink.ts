/**
 * Where log lines leave the process: the lines of a tick in one write, never blocking, never growing; a reader that
 * stalls or leaves costs lines, not the daemon.
 */
import { fstatSync, write } from "node:fs";
import { Socket } from "node:net";
import type { Clock } from "./clock.ts";
import type { LineSink, LogLevel } from "./log.ts";

export interface LineSinkOptions {
  readonly clock: Clock;
  /** Called for lines that were dropped, with how many; counts them in a metric. */
  readonly onDrop?: (count: number) => void;
  /** The line that stands where lines are missing, once there is room again. */
  readonly describeDrop?: (count: number) => string;
  /** What stands before each line of a level, such as journald's priority; nothing. */
  readonly mark?: (level: LogLevel) => string;
  /** Bytes that are held while the reader takes none; 1 MiB. */
  readonly capacityBytes?: number;
}

export interface FlushableSink extends LineSink {
  /**
   * Resolves when everything is handed over, when the reader is gone, or after `timeoutMs` (1,000), whichever comes
   * first. It never rejects.
   */
  flush(timeoutMs?: number): Promise<void>;
}

/** Hands bytes to the descriptor and calls back once, with an error or null. */
type Output = (bytes: Buffer, done: (error: Error | null) => void) => void;

const DEFAULT_CAPACITY = 1024 * 1024;

/** A sink for an open descriptor, which stays open. One descriptor has one sink. */
export function createLineSink(fd: number, options: LineSinkOptions): FlushableSink {
  return new DescriptorSink(fd, options);
}

class DescriptorSink implements FlushableSink {
  readonly #output: Output;
  readonly #options: LineSinkOptions;
  readonly #capacity: number;
  readonly #mark: (level: LogLevel) => string;
  /** Lines that wait, and their bytes. */
  #waiting: string[] = [];
  #waitingBytes = 0;
  /** Bytes of the one write that runs. */
  #writingBytes = 0;
  #dropped = 0;
  #scheduled = false;
  #gone = false;
  #onEmpty: (() => void)[] = [];

  constructor(fd: number, options: LineSinkOptions) {
    this.#options = options;
    this.#capacity = options.capacityBytes ?? DEFAULT_CAPACITY;
    this.#mark = options.mark ?? (() => "");
    this.#output = openOutput(fd, () => this.#readerGone());
  }

  write(text: string, level: LogLevel): void {
    const line = this.#mark(level) + text;
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#gone || this.#writingBytes + this.#waitingBytes + bytes > this.#capacity) return this.#drop(1);
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    if (this.#scheduled || this.#writingBytes > 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#next();
    });
  }

  flush(timeoutMs = 1_000): Promise<void> {
    this.#next();
    if (this.#writingBytes === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(timeoutMs, resolve);
      this.#onEmpty.push(() => {
        cancel();
        resolve();
      });
    });
  }

  /** Starts the next write, unless one runs: its end comes back here. */
  #next(): void {
    if (this.#writingBytes > 0 || this.#gone) return;
    if (this.#waiting.length === 0) return this.#tellEmpty();
    const bytes = Buffer.from(`${this.#waiting.join("\n")}\n`);
    const lines = this.#waiting.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writingBytes = bytes.length;
    this.#output(bytes, (error) => {
      this.#writingBytes = 0;
      if (error !== null) this.#drop(lines);
      else this.#sayDropped();
      this.#next();
    });
  }

  /**
   * The missing lines are behind what was just written and before what comes now; lines that already wait were older.
   */
  #sayDropped(): void {
    const count = this.#dropped;
    if (count === 0) return;
    this.#dropped = 0;
    const describe =
      this.#options.describeDrop ??
      ((lost: number) => `WARN ${lost} log lines were dropped here: their reader took none`);
    const line = this.#mark("warn") + describe(count);
    this.#waiting.push(line);
    this.#waitingBytes += Buffer.byteLength(line) + 1;
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#options.onDrop?.(count);
  }

  #readerGone(): void {
    if (this.#gone) return;
    this.#gone = true;
    const lost = this.#waiting.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (lost > 0) this.#drop(lost);
    this.#tellEmpty();
  }

  #tellEmpty(): void {
    const listeners = this.#onEmpty;
    this.#onEmpty = [];
    for (const listener of listeners) listener();
  }
}

/**
 * A pipe or socket is written without blocking by a stream of Node's (libuv never closes descriptors 0 to 2, so losing
 * the reader frees none of them). Files and terminals are written by the thread pool, one write at a time: a stopped
 * terminal holds up one of its threads, not the loop.
 */
function openOutput(fd: number, onGone: () => void): Output {
  const stat = fstatSync(fd);
  if (!stat.isFIFO() && !stat.isSocket()) return (bytes, done) => writeWhole(fd, bytes, 0, done);
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on("error", onGone);
  return (bytes, done) => {
    socket.write(bytes, (error) => done(error ?? null));
  };
}

function writeWhole(fd: number, bytes: Buffer, offset: number, done: (error: Error | null) => void): void {
  write(fd, bytes, offset, bytes.length - offset, null, (error, written) => {
    if (error !== null) return done(error);
    if (offset + written < bytes.length) return writeWhole(fd, bytes, offset + written, done);
    done(null);
  });
}
