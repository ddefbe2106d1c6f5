/**
 * Gauges that are counted from the state at scrape time, rather than kept up to date by everyone who changes something.
 */
import type { Journal } from "../journal/journal.ts";
import { statusOf } from "../fleet/modes.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import type { Registry } from "../metrics/registry.ts";
import type { State } from "../state/state.ts";

/**
 * Adds the hooks that fill `zwrmd_hosts`, `zwrmd_machines`, `zwrmd_drains`, `zwrmd_images`, `zwrmd_image_bytes` and the
 * journal's gauges.
 */
export function collectFromState(registry: Registry, metrics: Metrics, state: State, journal: Journal): void {
  registry.onCollect(() => {
    for (const status of ["active", "draining", "maintenance", "offline"]) metrics.hosts.labels(status).set(0);
    for (const host of state.hosts.values()) metrics.hosts.labels(statusOf(host)).inc();
    for (const name of ["pending", "starting", "running", "stopping", "stopped", "failed", "unknown"])
      metrics.machines.labels(name).set(0);
    for (const machine of state.machines.values()) metrics.machines.labels(machine.state).inc();
    for (const name of ["draining", "completed", "cancelled", "failed"]) metrics.drains.labels(name).set(0);
    for (const drain of state.drains.values()) metrics.drains.labels(drain.state).inc();
    let bytes = 0;
    for (const image of state.images.values()) bytes += image.size_bytes;
    metrics.images.set(state.images.size);
    metrics.imageBytes.set(bytes);
    metrics.journalLastSeq.set(journal.durable.seq);
    metrics.journalWritable.set(journal.writability.writable ? 1 : 0);
  });
}
