/**
 * Uses the generated client as somebody would who has nothing but the document: registers a host, lists hosts, drains
 * it, and sees the drain through. `client.ts CLIENT URL LICENCE`.
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

/** What the generator makes of the calls that are used here. */
interface Client {
  readonly OpenAPI: { BASE: string; TOKEN: string | undefined };
  readonly HostsService: {
    registerHost(body: object, key: string): Promise<{ readonly cluster_id: string }>;
    heartbeat(id: string, key: string, body: object): Promise<{ readonly revision: string }>;
    listHosts(): Promise<{ readonly hosts: readonly { readonly id: string; readonly status: string }[] }>;
    drainHost(id: string, org: undefined, body: object): Promise<{ readonly state: string }>;
    showDrainStatus(id: string): Promise<{ readonly state: string; readonly total: number }>;
  };
}

const [clientFile = "", url = "", licence] = process.argv.slice(2);
const { OpenAPI, HostsService } = (await import(pathToFileURL(clientFile).href)) as Client;
const KEY = "k".repeat(32);
OpenAPI.BASE = url;

OpenAPI.TOKEN = licence;
const capacity = { cpus: 4, memory_mb: 1024 };
const { cluster_id: cluster } = await HostsService.registerHost({ host_id: "h-1", hostname: "h-1", capacity }, KEY);
assert.ok(cluster.length > 0);
await HostsService.heartbeat("h-1", KEY, { machines: [] });

OpenAPI.TOKEN = undefined;
const { hosts } = await HostsService.listHosts();
assert.deepEqual(
  hosts.map(({ id, status }) => `${id} ${status}`),
  ["h-1 active"],
);
await HostsService.drainHost("h-1", undefined, { reason: "a generated client" });
const drain = await HostsService.showDrainStatus("h-1");
assert.deepEqual([drain.state, drain.total], ["completed", 0]);
process.stdout.write("a generated client lists hosts and drains one\n");
