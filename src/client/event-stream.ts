/**
 * Server-sent events from one answer (https://html.spec.whatwg.org/multipage/server-sent-events.html), as they arrive.
 * Never connects again by itself.
 */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Clock } from "../lib/clock.ts";
import { formatDuration } from "../lib/duration.ts";
import { Watchdog } from "../lib/watchdog.ts";
import type { Address } from "./address.ts";
import { ClientError, explain } from "./errors.ts";
import { readAnswer } from "./exchange.ts";

/**
 * One event is a line of the log, which is far smaller; a bound so that a stranger on the port cannot fill the memory.
 */
const MAX_EVENT_CHARS = 16 * 1024 * 1024;
const MAX_ERROR_BYTES = 1024 * 1024;

export interface ServerEvent {
  /** The last id that the stream has named: what to send as Last-Event-ID to go on from here. */
  readonly id: string | null;
  readonly type: string;
  readonly data: string;
}

export interface StreamOptions {
  readonly address: Address;
  readonly clock: Clock;
  readonly quietMs: number;
  /** Told the answer's headers once it is known to be a stream. */
  readonly onOpen: (headers: IncomingHttpHeaders) => void;
}

/**
 * The events of the answer to `request`, which has been sent. Ends where the server ends the stream; throws ClientError
 * for an answer that is none, for a broken connection, and where nothing at all, not even a comment, came for
 * `quietMs`. Leaving the loop closes the connection.
 */
export async function* readEvents(
  request: ClientRequest,
  { address, clock, quietMs, onOpen }: StreamOptions,
): AsyncGenerator<ServerEvent, void, void> {
  // Whoever is waited for is told: the request until there is an answer, then the answer.
  let awaited: ClientRequest | IncomingMessage = request;
  const watchdog = new Watchdog(
    clock,
    quietMs,
    () =>
      void awaited.destroy(
        new ClientError("timeout", `${address.url} has sent nothing for ${formatDuration(quietMs)}.`),
      ),
  );
  try {
    const response = await responseTo(request);
    awaited = response;
    watchdog.pet();
    if (!isEventStream(response)) throw await refusal(response, address);
    onOpen(response.headers);
    const parser = new EventParser();
    for await (const text of response.setEncoding("utf8")) {
      watchdog.pet();
      yield* parser.push(String(text));
    }
  } catch (error) {
    throw explain(error, address);
  } finally {
    watchdog.end();
    request.destroy();
  }
}

function responseTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    // Stays for good: once the answer flows, its reader hears of the same error.
    request.on("error", reject);
  });
}

function isEventStream({ statusCode, headers }: IncomingMessage): boolean {
  return statusCode === 200 && /^text\/event-stream\b/i.test(headers["content-type"] ?? "");
}

/** What the server says instead of a stream. */
async function refusal(response: IncomingMessage, address: Address): Promise<ClientError> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_ERROR_BYTES) break;
    chunks.push(bytes);
  }
  readAnswer(response, Buffer.concat(chunks), address);
  return new ClientError("bad_answer", `${address.url} answers without a stream of events. Is it an older zwrmd?`, {
    status: response.statusCode ?? 0,
  });
}

/** Text in pieces, cut anywhere, to events. */
export class EventParser {
  #rest = "";
  #id: string | null = null;
  #type = "";
  #data: string[] = [];
  #size = 0;

  /** The events that this piece completes. Throws ClientError for one without an end. */
  push(text: string): ServerEvent[] {
    this.#size += text.length;
    if (this.#size > MAX_EVENT_CHARS)
      throw new ClientError("bad_answer", `An event is longer than ${MAX_EVENT_CHARS} characters.`);
    const events: ServerEvent[] = [];
    // A CR at the very end may be half of a CR LF; it waits for the next piece.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?=[^])/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") this.#field(line);
      else events.push(...this.#dispatch());
    }
    return events;
  }

  #field(line: string): void {
    const [, name = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? [];
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch(): ServerEvent[] {
    const [data, type] = [this.#data, this.#type === "" ? "message" : this.#type];
    this.#data = [];
    this.#type = "";
    this.#size = 0;
    return data.length === 0 ? [] : [{ id: this.#id, type, data: data.join("\n") }];
  }
}
