/** What tests do with hosts again and again: register, beat, look. */
import assert from "node:assert/strict";
import type { TestDaemon } from "./daemon.ts";
import type { Answer } from "./http.ts";
import { textAt } from "./json.ts";
import type { Json } from "./json.ts";

export const CAPACITY = { cpus: 8, memory_mb: 16_384, disk_mb: 100_000 };

/** Registers a host; any status. */
export function register(
  daemon: TestDaemon,
  hostId: string,
  more: Record<string, Json> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  return daemon.asAgent("POST", "/v1/internal/hosts/register", {
    body: { host_id: hostId, hostname: `${hostId}.example`, capacity: CAPACITY, ...more },
    headers,
  });
}

/** Sends a heartbeat; any status. */
export function beat(
  daemon: TestDaemon,
  hostId: string,
  body: Record<string, Json> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  return daemon.asAgent("POST", `/v1/internal/hosts/${hostId}/heartbeat`, { body, headers, timeoutMs: 30_000 });
}

/** A host as people see it; it must be there. */
export async function show(daemon: TestDaemon, hostId: string): Promise<Json> {
  const answer = await daemon.request("GET", `/v1/hosts/${hostId}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

export async function statusOf(daemon: TestDaemon, hostId: string): Promise<string> {
  return textAt(await show(daemon, hostId), "status");
}

/**
 * Registers a host with an agent that reports a machine, so that a drain of it cannot complete until the agent says
 * that it is gone.
 */
export async function registerBusy(daemon: TestDaemon, hostId: string): Promise<void> {
  assert.equal((await register(daemon, hostId)).status, 201);
  const answer = await beat(daemon, hostId, { machines: [{ id: "m-foreign", state: "running" }] });
  assert.equal(answer.status, 200, answer.text);
}
