/** The public rows: what this is, whether it is well, and its metrics. */
import { json, text } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { ApiError } from "../lib/errors.ts";
import { METRICS_CONTENT_TYPE, renderMetrics } from "../metrics/text.ts";
import type { ApiContext, App, Services } from "./app.ts";

export function showService(_context: ApiContext, app: Services): Reply {
  return json(200, { service: "zwrmd", version: app.version });
}

export async function showHealth(_context: ApiContext, app: Services): Promise<Reply> {
  await refuseUnwell(app);
  return json(200, { status: "healthy" });
}

/**
 * Replay is done before the daemon listens, so what remains to ask is whether writing works. Either way it tells how
 * far the log is on disk.
 */
export async function showReady(_context: ApiContext, app: Services): Promise<Reply> {
  const durable = { durable_seq: app.feed.lastSeq };
  await refuseUnwell(app, durable);
  return json(200, { status: "ready", ...durable });
}

export function showMetrics(_context: ApiContext, app: Services): MaybePromise<Reply> {
  return app.store.read(() => text(200, renderMetrics(app.registry), METRICS_CONTENT_TYPE));
}

async function refuseUnwell(app: Services, extra: Readonly<Record<string, number>> = {}): Promise<void> {
  if (app.stopping()) throw new ApiError("shutting_down", "The daemon is stopping.");
  const writability = await app.lookAtStorage();
  if (writability.writable) return;
  throw new ApiError("storage_failed", `The journal cannot be written: ${writability.reason}.`, { extra });
}

/** Paths that are kept for what comes later. */
export function notAvailableYet(context: ApiContext, app: App): MaybePromise<Reply> {
  return app.door.look(context, () => {
    throw new ApiError("not_available_yet", `${context.pattern} is reserved; this version does not serve it.`);
  });
}
