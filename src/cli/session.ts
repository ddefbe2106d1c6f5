/** One run of a command: calls to the API with what -v shows of them, and the two outputs. Knows no command. */
import type { Answer } from "../client/exchange.ts";
import { ClientError } from "../client/errors.ts";
import type { ServerEvent } from "../client/event-stream.ts";
import type { Call, Client, Streaming, Upload } from "../client/http.ts";
import { ApiError } from "../lib/errors.ts";
import type { Schema } from "../wire/schema.ts";
import { receiveBody } from "../wire/schema.ts";
import { VERSION } from "../lib/version.ts";
import type { Io } from "./io.ts";
import { printable } from "./io.ts";
import type { Settings } from "./settings-shape.ts";
import type { Cell, Column } from "./table.ts";
import { renderFacts, renderTable, usesColour } from "./table.ts";

/** Whom the daemon is to take the caller for. */
export interface Credentials {
  readonly token: string | null;
  readonly org: string | null;
}

export interface SessionOptions {
  readonly io: Io;
  readonly settings: Settings;
  /** A client of the settings' address. */
  readonly connect: (as: Credentials) => Client;
  readonly json: boolean;
  readonly verbose: boolean;
}

export class Session {
  readonly io: Io;
  readonly json: boolean;
  readonly settings: Settings;
  readonly #options: SessionOptions;
  readonly #client: Client;
  readonly #verbose: boolean;

  /** `as`: the settings' own token and org, unless others are given. */
  constructor(options: SessionOptions, as: Credentials = options.settings) {
    this.io = options.io;
    this.json = options.json;
    this.settings = options.settings;
    this.#options = options;
    this.#client = options.connect(as);
    this.#verbose = options.verbose;
  }

  /** The same run as somebody else. */
  as(credentials: Credentials): Session {
    return new Session(this.#options, credentials);
  }

  /** The daemon's address as it is kept and shown. */
  get url(): string {
    return this.#client.address.url;
  }

  /** A JSON call. Rejects with ClientError. */
  call(method: string, path: string, call: Call = {}): Promise<Answer> {
    return this.#watched(method, path, this.#client.request(method, path, call));
  }

  upload(path: string, upload: Upload): Promise<Answer> {
    return this.#watched("PUT", path, this.#client.upload("PUT", path, upload));
  }

  /** Server-sent events until the stream ends. Rejects with ClientError. */
  stream(path: string, call: Streaming): AsyncGenerator<ServerEvent, void, void> {
    if (this.#verbose) this.note(`GET ${this.url}${path} as a stream`);
    return this.#client.stream(path, call);
  }

  /** A call whose answer is printed: as it came with --json, else by `show`. Gives exit code 0. */
  async show<R>(
    method: string,
    path: string,
    call: Call,
    schema: Schema<unknown, R>,
    show: (value: R) => void,
  ): Promise<number> {
    const { body } = await this.call(method, path, call);
    if (this.json) this.printJson(body);
    else show(understand(schema, body));
    return 0;
  }

  /** A line for people on stdout. */
  line(text: string): void {
    this.io.stdout.write(`${printable(text)}\n`);
  }

  /** A line beside the result, on stderr. */
  note(text: string): void {
    this.io.stderr.write(`${printable(text)}\n`);
  }

  table(columns: readonly Column[], rows: readonly (readonly (string | Cell)[])[]): void {
    this.io.stdout.write(renderTable(columns, rows, this.#colours, this.io.stdout.columns));
  }

  facts(facts: readonly (readonly [name: string, value: string | Cell])[]): void {
    this.io.stdout.write(renderFacts(facts, this.#colours, this.io.stdout.columns));
  }

  /** An answer without a body prints nothing. */
  printJson(body: unknown): void {
    if (body !== null) this.io.stdout.write(`${harmless(JSON.stringify(body, null, 2))}\n`);
  }

  /** A whole value on one line. */
  printJsonLine(body: unknown): void {
    this.io.stdout.write(`${harmless(JSON.stringify(body))}\n`);
  }

  get #colours(): boolean {
    return usesColour(this.io.stdout, this.io.env);
  }

  async #watched(method: string, path: string, work: Promise<Answer>): Promise<Answer> {
    const started = this.io.clock.mono();
    const tell = (status: number | string, requestId: string | null): void => {
      if (!this.#verbose) return;
      const ms = Math.round(this.io.clock.mono() - started);
      this.note(
        `${method} ${this.url}${path} ${status} ${ms}ms${requestId === null ? "" : ` request id ${requestId}`}`,
      );
    };
    try {
      const answer = await work;
      tell(answer.status, answer.requestId);
      return answer;
    } catch (error) {
      if (error instanceof ClientError) tell(error.status ?? error.code, error.requestId);
      throw error;
    }
  }
}

/** The same JSON without the control characters that JSON itself leaves as they are, and a terminal obeys. */
function harmless(json: string): string {
  return json.replace(/[\u007f-\u009f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** Reads an answer by its schema. Throws ClientError `bad_answer` where the daemon speaks another version. */
export function understand<R>(schema: Schema<unknown, R>, body: unknown): R {
  try {
    return receiveBody(schema, body);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const sentence = `zwrm ${VERSION} does not understand the daemon's answer: ${error.message}`;
    throw new ClientError("bad_answer", `${sentence} Do their versions fit? --json shows the answer as it is.`);
  }
}
