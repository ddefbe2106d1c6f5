/**
 * Reads request bodies: whole JSON objects under a limit, or a stream piece by piece; it never destroys the request,
 * whose sender still awaits an answer.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../lib/clock.ts";
import { ApiError } from "../lib/errors.ts";
import type { Context } from "./context.ts";
import { ClientGone } from "./send-file.ts";
import type { MaybePromise, RouteShape } from "./types.ts";

export interface BodyOptions {
  /** The largest JSON body in bytes. */
  readonly maxBytes: number;
  /** Milliseconds: a JSON body is whole within it, a streamed one never pauses for longer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Throws on what is no UTF-8. It holds no state between calls. */
const UTF8 = new TextDecoder("utf-8", { fatal: true });
/** `application/json`, with parameters or without; a charset may only be the one that JSON has. */
const MEDIA_TYPE = /^application\/json[ \t]*(?:;(.*))?$/is;
const CHARSET = /(?:^|;)[ \t]*charset[ \t]*=[ \t]*("?)([^";\s]*)\1/i;

/** True where the headers announce a body, even an empty one in chunks. */
export function hasBody(req: IncomingMessage): boolean {
  const { headers } = req;
  if (headers["transfer-encoding"] !== undefined) return true;
  const length = headers["content-length"];
  return length !== undefined && Number(length) !== 0;
}

/**
 * The body as a JSON object; `{}` at once where there is none. Throws or rejects with ApiError
 * `unsupported_media_type`, `body_too_large`,
 * `malformed_json` or `request_timeout`, and with ClientGone.
 */
export function readJsonBody<R extends RouteShape, C>(
  context: Context<R, C>,
  options: BodyOptions,
): MaybePromise<unknown> {
  const { req } = context;
  if (!hasBody(req)) return {};
  requireJson(req);
  const length = req.headers["content-length"];
  const expected = length === undefined ? null : Number(length);
  if (expected !== null && expected > options.maxBytes) throw tooLarge(options.maxBytes);
  return readWhole(context, expected, options);
}

/** Callbacks and no iterator: most bodies are one piece, and are parsed in the turn in which it comes. */
function readWhole<R extends RouteShape, C>(
  context: Context<R, C>,
  expected: number | null,
  { maxBytes, timeoutMs, clock }: BodyOptions,
): Promise<unknown> {
  const { req } = context;
  return new Promise((resolve, reject) => {
    if (req.destroyed) return reject(new ClientGone());
    const pieces: Buffer[] = [];
    let size = 0;
    let over = false;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      cancel();
      req.off("end", done).off("close", gone);
      settle();
    };
    const fail = (error: Error): void =>
      end(() => {
        req.pause();
        reject(error);
      });
    const done = (): void =>
      end(() => {
        context.bodyRead = true;
        try {
          resolve(parseObject(pieces));
        } catch (error) {
          reject(error);
        }
      });
    const gone = (): void => fail(new ClientGone());
    const cancel = clock.after(timeoutMs, () => fail(timedOut(`The body was not whole within ${timeoutMs / 1000} s.`)));
    req.on("data", (piece: Buffer) => {
      if (over) return;
      size += piece.length;
      if (size > maxBytes) return fail(tooLarge(maxBytes));
      pieces.push(piece);
      if (size === expected) done();
    });
    req.on("end", done);
    req.on("close", gone);
    sendContinue(context);
  });
}

function parseObject(pieces: readonly Buffer[]): unknown {
  const [first] = pieces;
  if (first === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(UTF8.decode(pieces.length === 1 ? first : Buffer.concat(pieces)));
  } catch (cause) {
    throw new ApiError(
      "malformed_json",
      cause instanceof SyntaxError ? "The body is not JSON." : "The body is not UTF-8.",
      { cause },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ApiError("malformed_json", "The body must be a JSON object.");
  return value;
}

function requireJson(req: IncomingMessage): void {
  const type = req.headers["content-type"];
  if (type !== "application/json" && !isJson(type)) {
    throw new ApiError(
      "unsupported_media_type",
      `The body must be application/json in UTF-8${type === undefined ? "; it has no Content-Type" : ""}.`,
    );
  }
  const encoding = req.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity")
    throw new ApiError("unsupported_media_type", "The body must not be compressed.");
}

function isJson(type: string | undefined): boolean {
  const match = MEDIA_TYPE.exec(type ?? "");
  if (match === null) return false;
  const charset = CHARSET.exec(match[1] ?? "")?.[2];
  return charset === undefined || charset.toLowerCase() === "utf-8";
}

/**
 * The body piece by piece, read no faster than it is asked for. Throws ApiError `request_timeout` where the client
 * sends nothing for
 * `timeoutMs` while a piece is awaited, and ClientGone. A loop that stops early leaves the rest to be thrown away.
 */
export async function* streamBody<R extends RouteShape, C>(
  context: Context<R, C>,
  { timeoutMs, clock }: Omit<BodyOptions, "maxBytes">,
): AsyncGenerator<Uint8Array> {
  const { req } = context;
  const pieces = new Pieces(req);
  sendContinue(context);
  try {
    for (;;) {
      const piece = pieces.take();
      if (piece !== null) yield piece;
      else if (pieces.ended) break;
      else await pieces.more(timeoutMs, clock);
    }
    context.bodyRead = true;
  } finally {
    pieces.release();
  }
}

/** The waiting part of a streamed body. */
class Pieces {
  readonly #req: IncomingMessage;
  #wake: (() => void) | null = null;
  ended: boolean;

  constructor(req: IncomingMessage) {
    this.#req = req;
    this.ended = req.readableEnded;
    for (const event of ["readable", "end", "close"]) req.on(event, this.#onEvent);
    req.on("end", this.#onEnd);
  }

  take(): Buffer | null {
    const piece: unknown = this.#req.read();
    return Buffer.isBuffer(piece) ? piece : null;
  }

  /** Resolves when there is something new to look at. */
  async more(timeoutMs: number, clock: Clock): Promise<void> {
    if (this.#req.destroyed && !this.ended) throw new ClientGone();
    const late = await new Promise<boolean>((resolve) => {
      const cancel = clock.after(timeoutMs, () => resolve(true));
      this.#wake = () => {
        cancel();
        resolve(false);
      };
    });
    this.#wake = null;
    if (late) throw timedOut(`No byte of the body came for ${timeoutMs / 1000} s.`);
  }

  release(): void {
    for (const event of ["readable", "end", "close"]) this.#req.off(event, this.#onEvent);
    this.#req.off("end", this.#onEnd);
  }

  readonly #onEnd = (): void => {
    this.ended = true;
    this.#wake?.();
  };

  readonly #onEvent = (): void => this.#wake?.();
}

/** A client that asked first is told to go on only now: credentials and size have been judged. */
function sendContinue<R extends RouteShape, C>(context: Context<R, C>): void {
  if (!context.expectsContinue) return;
  context.expectsContinue = false;
  context.res.writeContinue();
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError("body_too_large", `The body is larger than ${maxBytes} bytes.`);
}

function timedOut(message: string): ApiError {
  return new ApiError("request_timeout", message);
}
