/**
 * One request and its answer: runs the middlewares, writes the reply, throws away what was not read, and says once how
 * it ended.
 */
import type { Clock } from "../lib/clock.ts";
import { ApiError, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { hasBody } from "./body.ts";
import type { Connection, Connections, Running } from "./connections.ts";
import type { Context } from "./context.ts";
import type { HttpLimits } from "./limits.ts";
import { COMMON_HEADERS } from "./refusal.ts";
import { errorReply } from "./respond.ts";
import { ClientGone } from "./send-file.ts";
import type { BodyPump, MaybePromise, Reply, RouteShape } from "./types.ts";

/** What all exchanges of a server share. */
export interface Surroundings<R extends RouteShape, C> {
  readonly handle: (context: Context<R, C>) => MaybePromise<Reply>;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: HttpLimits;
  readonly connections: Connections<Exchange<R, C>>;
  /** Called when the last request that ran on a connection has ended. */
  readonly idle: (connection: Connection<Exchange<R, C>>) => void;
}

/** What the log shows where the client left before an answer was decided. */
const CLIENT_LEFT = 499;

export class Exchange<R extends RouteShape, C> implements Running {
  readonly context: Context<R, C>;
  readonly #around: Surroundings<R, C>;
  readonly #connection: Connection<Exchange<R, C>>;
  readonly #started: number;
  #status = CLIENT_LEFT;
  #bytes = 0;
  #settled = false;
  /** A pump that waits for the answers before it. */
  #waiting: BodyPump | null = null;

  /** `started` is monotonic time. */
  constructor(
    around: Surroundings<R, C>,
    connection: Connection<Exchange<R, C>>,
    context: Context<R, C>,
    started: number,
  ) {
    this.#around = around;
    this.#connection = connection;
    this.context = context;
    this.#started = started;
    connection.begin(this);
  }

  get answered(): boolean {
    return this.#status !== CLIENT_LEFT;
  }

  /** `close`: the connection ends with this answer, because what follows on it cannot be trusted. */
  run(close: boolean): void {
    const { context } = this;
    context.res.on("finish", () => this.#settle(false));
    // Errors of a response are those of its connection, which tells by closing.
    context.res.on("error", ignore);
    try {
      const reply = this.#around.handle(context);
      if (!(reply instanceof Promise)) return this.#send(reply, close);
      reply.then(
        (late) => this.#send(late, close),
        (error: unknown) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  abandon(): void {
    this.#settle(true);
  }

  takeTurn(): void {
    const pump = this.#waiting;
    if (pump === null || this.context.res.socket === null) return;
    this.#waiting = null;
    this.#pump(pump);
  }

  /** The answer was written past the response, because the body broke on its way in. */
  replaceAnswer(status: number, bytes: number): void {
    this.#status = status;
    this.#bytes = bytes;
    this.#settle(false);
  }

  /** A middleware before Recovery, or the writing of a reply, has failed. */
  #fail(error: unknown): void {
    const { requestId, res } = this.context;
    const stack = error instanceof Error ? (error.stack ?? null) : null;
    this.#around.log.error("A request could not be answered.", {
      request_id: requestId,
      error: messageOf(error),
      stack,
    });
    if (this.#settled || res.headersSent) return this.#break();
    this.#write(
      errorReply(
        new ApiError("internal", "Something failed here; the log has the details under this request id."),
        requestId,
      ),
      true,
    );
  }

  #send(reply: Reply, close: boolean): void {
    if (this.#settled) return;
    try {
      this.#write(reply, close);
    } catch (error) {
      // writeHead throws on a header that cannot be sent, before anything is out.
      this.#fail(error);
    }
  }

  #write(reply: Reply, close: boolean): void {
    const { req, res, requestId } = this.context;
    const unread = this.#isUnread();
    const { body } = reply;
    const headers = ["X-Request-Id", requestId, ...COMMON_HEADERS];
    let sized = body === null && (reply.status === 204 || reply.status === 304);
    for (const [name, value] of Object.entries(reply.headers)) {
      headers.push(name, value);
      if (name.length === 14 && name.toLowerCase() === "content-length") sized = true;
    }
    const payload = typeof body === "string" ? body : "";
    const length = Buffer.byteLength(payload);
    if (!sized && typeof body !== "function") headers.push("Content-Length", String(length));
    // A later request on this connection is still to be answered, and ends it then.
    const last = this.#around.connections.stopping && this.#connection.latest === this;
    if (close || unread || last) {
      headers.push("Connection", "close");
      this.#connection.endedAt ??= req.socket.bytesRead;
    }
    res.writeHead(reply.status, headers);
    this.#status = reply.status;
    if (req.method === "HEAD") return this.#conclude("", unread);
    if (typeof body === "function") return this.#startPump(body);
    this.#bytes = length;
    this.#conclude(payload, unread);
  }

  /** A body that is not here yet and that nobody will read. */
  #isUnread(): boolean {
    const { req, bodyRead } = this.context;
    return !bodyRead && !req.complete && hasBody(req);
  }

  #startPump(pump: BodyPump): void {
    if (this.context.res.socket === null) this.#waiting = pump;
    else this.#pump(pump);
  }

  #pump(pump: BodyPump): void {
    const { res } = this.context;
    const sent = (bytes: number): void => {
      this.#bytes += bytes;
    };
    pump(res, sent).then(
      () => this.#conclude("", this.#isUnread()),
      (error: unknown) => {
        const left = error instanceof ClientGone || this.#connection.socket.destroyed;
        if (!left)
          this.#around.log.error("An answer broke off.", {
            request_id: this.context.requestId,
            error: messageOf(error),
          });
        this.#break();
      },
    );
  }

  #conclude(payload: string, unread: boolean): void {
    const { res } = this.context;
    if (!unread) res.end(payload);
    else this.#discard(payload);
  }

  /**
   * Hands over the whole answer, then reads on for a while before the end: closing a connection with unread bytes
   * resets it, and a reset can overtake the answer.
   */
  #discard(payload: string): void {
    const { req, res } = this.context;
    const { clock, limits } = this.#around;
    const settle = (): void => this.#settle(false);
    this.#connection.endedAt ??= this.#connection.socket.bytesRead;
    if (payload === "") {
      res.flushHeaders();
      settle();
    } else res.write(payload, (error) => (error ? undefined : settle()));
    let left = limits.discardBytes;
    const end = (): void => {
      cancel();
      res.end();
    };
    const cancel = clock.after(limits.discardMs, end);
    req.on("data", (piece: Buffer) => {
      left -= piece.length;
      if (left < 0) end();
    });
    req.on("end", end);
    req.on("close", end);
    req.resume();
  }

  #break(): void {
    this.#connection.socket.destroy();
    this.#settle(true);
  }

  #settle(aborted: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    const { clock, log } = this.#around;
    const seconds = (clock.mono() - this.#started) / 1000;
    try {
      this.context.finish({ status: this.#status, bytes: this.#bytes, seconds, aborted });
    } catch (error) {
      log.error("A listener to the end of a request failed.", {
        request_id: this.context.requestId,
        error: messageOf(error),
      });
    }
    this.#connection.end(this);
    if (this.#connection.running.size === 0) this.#around.idle(this.#connection);
  }
}

function ignore(): void {}
