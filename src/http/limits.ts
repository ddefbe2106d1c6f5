/** What the web layer bears of one client, and what of all; numbers only. */

export interface HttpLimits {
  /** Milliseconds for a request's headers, counted from the connection's start or the request's first byte. */
  readonly headersTimeoutMs: number;
  /** Milliseconds between two looks at who is late or takes nothing. */
  readonly checkIntervalMs: number;
  readonly maxHeaderFields: number;
  readonly maxHeaderBytes: number;
  /** Characters of the request target. */
  readonly maxTargetLength: number;
  /** Milliseconds that a connection stays open between two requests. */
  readonly idleTimeoutMs: number;
  /** Milliseconds without progress after which a client that takes nothing of its answer is dropped. */
  readonly writeTimeoutMs: number;
  /**
   * Connections of one listener; each listener counts its own, so that a flood over TCP leaves the unix socket usable.
   */
  readonly maxConnections: number;
  /** Pipelined requests of one connection that may wait for their answer at once. */
  readonly maxUnanswered: number;
  /**
   * How much of a body that nobody wanted is read and thrown away, so that its sender sees the answer: bytes and
   * milliseconds, whichever ends first.
   */
  readonly discardBytes: number;
  readonly discardMs: number;
}

export const DEFAULT_LIMITS: HttpLimits = {
  headersTimeoutMs: 10_000,
  checkIntervalMs: 2_000,
  maxHeaderFields: 100,
  maxHeaderBytes: 16 * 1024,
  maxTargetLength: 8 * 1024,
  idleTimeoutMs: 75_000,
  writeTimeoutMs: 30_000,
  maxConnections: 20_000,
  maxUnanswered: 100,
  discardBytes: 4 * 1024 * 1024,
  discardMs: 1_000,
};
