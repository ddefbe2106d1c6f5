/**
 * One request on its connection: its answer read and understood, its errors in words, its watchdog. Decides nothing
 * about retries.
 */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Clock } from "../lib/clock.ts";
import { formatDuration } from "../lib/duration.ts";
import { Watchdog } from "../lib/watchdog.ts";
import type { Address } from "./address.ts";
import { ClientError, explain } from "./errors.ts";

/** More than any list of the API; a bound so that a stranger on the port cannot fill the memory. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The parsed JSON; null where the answer had no body. */
  readonly body: unknown;
  readonly requestId: string | null;
}

export class Exchange {
  readonly request: ClientRequest;
  /** The 2xx answer; rejects with a ClientError for everything else. */
  readonly answer: Promise<Answer>;
  readonly #address: Address;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #resolve: (answer: Answer) => void = () => undefined;
  #reject: (error: ClientError) => void = () => undefined;
  readonly #watchdog: Watchdog;
  #settled = false;
  #responding = false;
  /** What waits for the leave to send the body. */
  #waiting: (() => void) | null = null;

  /** `timeoutMs` is the longest time without any progress, in either direction. */
  constructor(request: ClientRequest, address: Address, clock: Clock, timeoutMs: number) {
    this.request = request;
    this.#address = address;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.answer = new Promise<Answer>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever sends a body looks at the answer late; until then its rejection is not unhandled.
    this.answer.catch(() => undefined);
    request.on("response", (response) => this.#read(response));
    // Once an answer has begun, a broken pipe only says that the rest of the request was not wanted.
    request.on("error", (error) => (this.#responding ? undefined : this.fail(error)));
    this.#watchdog = new Watchdog(clock, timeoutMs, () => this.#timeOut());
  }

  /** True once an answer has begun or none will come: nothing more needs to be sent. */
  get over(): boolean {
    return this.#responding || this.#settled;
  }

  /**
   * Waits until the server gives leave to send the body, refuses it, or has said nothing for `patienceMs` (older
   * servers never do).
   */
  async leaveToSend(patienceMs: number): Promise<void> {
    if (this.over) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(patienceMs, resolve);
      this.#waiting = () => {
        cancel();
        resolve();
      };
      this.request.once("continue", () => this.#release());
    });
  }

  /**
   * Hands bytes to the kernel. Where the exchange ends before that, the request is destroyed, which calls every write
   * back.
   */
  async send(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => void this.request.write(bytes, () => resolve()));
    this.#watchdog.pet();
  }

  fail(error: unknown): void {
    this.#settle(() => this.#reject(explain(error, this.#address)));
    this.request.destroy();
  }

  #read(response: IncomingMessage): void {
    this.#responding = true;
    this.#release();
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      this.#watchdog.pet();
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES)
        this.fail(
          new ClientError("bad_answer", `${this.#address.url} answers with more than ${MAX_ANSWER_BYTES} bytes.`),
        );
      else chunks.push(chunk);
    });
    response.on("error", (error) => this.fail(error));
    response.on("end", () => this.#finish(response, Buffer.concat(chunks)));
  }

  #finish(response: IncomingMessage, bytes: Buffer): void {
    this.#settle(() => {
      try {
        this.#resolve(readAnswer(response, bytes, this.#address));
      } catch (error) {
        this.#reject(explain(error, this.#address));
      }
    });
    // Refused before all was sent: the connection cannot be used for anything else.
    if (!this.request.writableEnded) this.request.destroy();
  }

  #settle(tell: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#watchdog.end();
    tell();
    this.#release();
  }

  #release(): void {
    this.#waiting?.();
    this.#waiting = null;
    this.#watchdog.pet();
  }

  #timeOut(): void {
    const sentence = `${this.#address.url} has not answered within ${formatDuration(this.#timeoutMs)}.`;
    this.fail(new ClientError("timeout", `${sentence} It may be overloaded: try again.`));
  }
}

/** Reads an answer. Throws ClientError for every status but 2xx, and for what is not the API's JSON. */
export function readAnswer(response: IncomingMessage, bytes: Buffer, { url }: Address): Answer {
  const status = response.statusCode ?? 0;
  const { headers } = response;
  const header = headers["x-request-id"];
  const requestId = typeof header === "string" ? header : null;
  if (status >= 300 && status < 400) {
    const sentence = `${url} redirects to ${headers.location ?? "another place"}.`;
    throw new ClientError("bad_answer", `${sentence} Redirects are not followed: use that address itself.`, {
      status,
      requestId,
    });
  }
  const body = parseBody(headers["content-type"] ?? "", bytes);
  if (status >= 200 && status < 300 && body !== undefined) return { status, headers, body, requestId };
  if (typeof body !== "object" || body === null || !("error" in body) || typeof body.error !== "string") {
    const sentence =
      `What answers at ${url} is not zwrmd (status ${status}, ` + `${headers["content-type"] ?? "no content type"}).`;
    throw new ClientError("bad_answer", `${sentence} Is the URL right?`, { status, requestId });
  }
  throw new ClientError("code" in body && typeof body.code === "string" ? body.code : "unknown", body.error, {
    status,
    field: "field" in body && typeof body.field === "string" ? body.field : null,
    requestId: "request_id" in body && typeof body.request_id === "string" ? body.request_id : requestId,
    extra: { ...body },
    retryAfterSeconds: /^\d+$/.test(headers["retry-after"] ?? "") ? Number(headers["retry-after"]) : null,
  });
}

/** Null for no body, undefined for one that is not JSON. */
function parseBody(contentType: string, bytes: Buffer): unknown {
  if (bytes.length === 0) return null;
  if (!/^application\/json\b/i.test(contentType)) return undefined;
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"));
    return parsed;
  } catch {
    return undefined;
  }
}
