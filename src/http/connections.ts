/**
 * Knows every open connection of a server and what runs on it: drops clients that take nothing, and ends connections in
 * order at the stop. It reads and writes no HTTP.
 *
 *     accept ──> fresh ──request──> running ──last answer──> kept ──request──> running
 *                  │                   │                       │
 *                  │ no HTTP           │ no HTTP: refusing,    │ idle_timeout, stop
 *                  │                   │ after what is owed    │
 *                  └─────────> ended <─┴───────────────────────┘ ──client closes, or discardMs──> gone
 *
 * | state    | it is so where                  | what comes on it        | at the stop                        |
 * | -------- | ------------------------------- | ----------------------- | ---------------------------------- |
 * | fresh    | nothing ran yet                 | is read as a request    | ends after discardMs (`endIdle`)   |
 * | running  | `running` is not empty          | waits for its turn      | ends with its last answer          |
 * | refusing | `refusal` is set, answers owed  | is read no more         | ends with the refusal              |
 * | kept     | `isKept`                        | is read as a request    | ends at once (`endKept`)           |
 * | ended    | `endedAt` is set                | is read and thrown away | is ended already                   |
 */
import type { Socket } from "node:net";
import type { Cancel, Clock } from "../lib/clock.ts";
import type { HttpLimits } from "./limits.ts";
import type { Refusal } from "./refusal.ts";
import type { Peer } from "./types.ts";

/** One request between its headers and the end of its answer, as its connection sees it. */
export interface Running {
  /** True once a reply is decided. */
  readonly answered: boolean;
  /** The connection is gone. */
  abandon(): void;
  /** The answers before this one are out. */
  takeTurn(): void;
}

export class Connection<T extends Running = Running> {
  readonly socket: Socket;
  readonly peer: Peer;
  /** In the order of their arrival. */
  readonly running = new Set<T>();
  latest: T | null = null;
  /** What the client is told once everything that runs is answered. */
  refusal: Refusal | null = null;
  /** Set when nothing more is read as a request: how many bytes had come by then. */
  endedAt: number | null = null;
  /** How many bytes had come when its last request was answered. */
  #answeredAt: number | null = null;
  readonly #progress = new Progress();

  constructor(socket: Socket, unixSocket: boolean) {
    this.socket = socket;
    this.peer = { unixSocket, remoteAddress: plain(socket.remoteAddress), localAddress: plain(socket.localAddress) };
  }

  /** Requests without a decided reply. */
  get unanswered(): number {
    let count = 0;
    for (const each of this.running) if (!each.answered) count += 1;
    return count;
  }

  begin(running: T): void {
    this.running.add(running);
    this.latest = running;
  }

  end(running: T): void {
    this.running.delete(running);
    if (this.latest === running) this.latest = null;
    this.#answeredAt = this.socket.bytesRead;
    for (const next of this.running) {
      next.takeTurn();
      return;
    }
  }

  /** It is kept open for a next request of which nothing has come. */
  get isKept(): boolean {
    return this.running.size === 0 && this.#answeredAt === this.socket.bytesRead;
  }

  /** How many looks in a row have met a client that takes nothing, with this one. */
  roundsWithoutProgress(): number {
    return this.#progress.look(this.socket.bytesWritten, this.socket.writableLength, queuedBytes(this.socket));
  }
}

/**
 * Tells a slow reader from one that has stopped. It counts looks and not time, so that a paused process costs one
 * round, not a client.
 */
export class Progress {
  #rounds = 0;
  #completed = 0;
  #queued = 0;

  /**
   * Bytes written so far, those of them that are not yet accepted, and those that are left of the write in flight.
   * Gives the looks in a row without progress.
   */
  look(written: number, pending: number, queued: number): number {
    const completed = written - pending;
    const stuck = pending > 0 && completed === this.#completed && queued >= this.#queued;
    this.#rounds = stuck ? this.#rounds + 1 : 0;
    this.#completed = completed;
    this.#queued = queued;
    return this.#rounds;
  }
}

/** An address as people write it: an IPv4 one that a dual-stack listener shows as ::ffff:10.0.0.7 is 10.0.0.7. */
function plain(address: string | undefined): string | null {
  return address === undefined ? null : address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

/**
 * Bytes of the write in flight that the kernel has not taken. Node has no public name for it, and without it a slow
 * client that takes a large piece in small sips looks like one that takes nothing; where a Node has it no more,
 * progress is seen a piece at a time.
 */
function queuedBytes(socket: Socket): number {
  const handle: unknown = "_handle" in socket ? socket._handle : null;
  return typeof handle === "object" &&
    handle !== null &&
    "writeQueueSize" in handle &&
    typeof handle.writeQueueSize === "number"
    ? handle.writeQueueSize
    : 0;
}

export class Connections<T extends Running> {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #allowedRounds: number;
  readonly #open = new Map<Socket, Connection<T>>();
  #sweep: Cancel | null = null;
  stopping = false;

  constructor(clock: Clock, limits: HttpLimits) {
    this.#clock = clock;
    this.#intervalMs = Math.min(limits.checkIntervalMs, limits.writeTimeoutMs / 4);
    this.#allowedRounds = limits.writeTimeoutMs / this.#intervalMs;
  }

  get size(): number {
    return this.#open.size;
  }

  find(socket: Socket): Connection<T> | undefined {
    return this.#open.get(socket);
  }

  /** Takes a connection in, until it closes. */
  add(socket: Socket, unixSocket: boolean): void {
    const connection = new Connection<T>(socket, unixSocket);
    this.#open.set(socket, connection);
    socket.once("close", () => {
      this.#open.delete(socket);
      for (const running of connection.running) running.abandon();
    });
    this.#sweep ??= this.#arm();
  }

  /** Ends the connections that were used and wait for a next request. */
  endKept(): void {
    for (const connection of this.#open.values()) if (connection.isKept) connection.socket.destroy();
  }

  /**
   * Ends the connections on which nothing runs: those that never sent a byte, and those in the middle of a request's
   * headers.
   */
  endIdle(): void {
    for (const { socket, running } of this.#open.values()) if (running.size === 0) socket.destroy();
  }

  endAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  #arm(): Cancel {
    return this.#clock.after(this.#intervalMs, () => {
      for (const connection of this.#open.values())
        if (connection.roundsWithoutProgress() >= this.#allowedRounds) connection.socket.destroy();
      this.#sweep = this.#open.size === 0 ? null : this.#arm();
    });
  }
}
