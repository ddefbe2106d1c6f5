/** The three calls of the loop over HTTP, with the licence and the host's key. */
import { ClientError } from "../client/errors.ts";
import type { Client } from "../client/http.ts";
import { messageOf } from "../lib/errors.ts";
import type { Reader } from "../lib/schema.ts";
import { readBody } from "../lib/schema.ts";
import type { ControlPlane, HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest } from "./wire.ts";
import { HEARTBEAT_ANSWER, REGISTER_ANSWER } from "./wire.ts";

/**
 * How long an answer may take beyond what it was asked to wait. Whoever waits for a beat may send another long before
 * (patience.ts).
 */
const PATIENCE_MS = 8_000;

export class HttpControlPlane implements ControlPlane {
  readonly #client: Client;

  /** A client that sends the licence's hash as its token and X-Zwrm-Host-Key. */
  constructor(client: Client) {
    this.#client = client;
  }

  async register(request: RegisterRequest, timeoutMs: number): Promise<RegisterAnswer> {
    const { body } = await this.#client.request("POST", "/v1/internal/hosts/register", { body: request, timeoutMs });
    return read(REGISTER_ANSWER, body);
  }

  async heartbeat(hostId: string, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    const call = { body: request, timeoutMs: request.wait_seconds * 1000 + PATIENCE_MS };
    const { body } = await this.#client.request(
      "POST",
      `/v1/internal/hosts/${encodeURIComponent(hostId)}/heartbeat`,
      call,
    );
    return read(HEARTBEAT_ANSWER, body);
  }

  async deregister(hostId: string, reason: string): Promise<void> {
    await this.#client.request("POST", `/v1/internal/hosts/${encodeURIComponent(hostId)}/deregister`, {
      body: { reason },
      timeoutMs: PATIENCE_MS,
    });
  }
}

function read<T>(reader: Reader<T>, body: unknown): T {
  try {
    return readBody(reader, body);
  } catch (error) {
    throw new ClientError("bad_answer", `The control plane's answer is not understood: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
