/** The three calls of the loop over HTTP, with the licence and the host's key. */
import { ClientError } from "../client/errors.ts";
import type { Client } from "../client/http.ts";
import { messageOf } from "../lib/errors.ts";
import type { Schema } from "../wire/schema.ts";
import { readBody } from "../wire/schema.ts";
import type { HeartbeatAnswer, RegisterAnswer } from "../wire/agents.ts";
import { HEARTBEAT_ANSWER, REGISTERED } from "../wire/agents.ts";
import type { ControlPlane, HeartbeatRequest, OwnRegistration } from "./loop-parts.ts";

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

  async register(request: OwnRegistration, timeoutMs: number): Promise<RegisterAnswer> {
    const { body } = await this.#client.request("POST", "/v1/internal/hosts/register", { body: request, timeoutMs });
    return read(REGISTERED, body);
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

function read<T>(schema: Schema<T, unknown>, body: unknown): T {
  try {
    return readBody(schema, body);
  } catch (error) {
    throw new ClientError("bad_answer", `The control plane's answer is not understood: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
