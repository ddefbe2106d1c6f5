/** The public rows: what this is, whether it is well, and its metrics. */
import type { JsonReply } from "../http/respond.ts";
import { json, text } from "../http/respond.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { ApiError } from "../lib/errors.ts";
import { METRICS_CONTENT_TYPE, renderMetrics } from "../metrics/text.ts";
import type { App, Services } from "./app.ts";
import type { PersonRequest, Request } from "./request.ts";

export function showService(_request: Request, app: Services): JsonReply<200, { service: "zwrmd"; version: string }> {
  return json(200, { service: "zwrmd" as const, version: app.version });
}

export async function showHealth(_request: Request, app: Services): Promise<JsonReply<200, { status: "healthy" }>> {
  await refuseUnwell(app);
  return json(200, { status: "healthy" as const });
}

/**
 * Replay is done before the daemon listens, so what remains to ask is whether writing works. Either way it tells how
 * far the log is on disk.
 */
export async function showReady(
  _request: Request,
  app: Services,
): Promise<JsonReply<200, { status: "ready"; durable_seq: number }>> {
  const durable = { durable_seq: app.feed.lastSeq };
  await refuseUnwell(app, durable);
  return json(200, { status: "ready" as const, ...durable });
}

export function showMetrics(_request: Request, app: Services): MaybePromise<Reply> {
  return app.store.read(() => text(200, renderMetrics(app.registry), METRICS_CONTENT_TYPE));
}

async function refuseUnwell(app: Services, extra: Readonly<Record<string, number>> = {}): Promise<void> {
  if (app.stopping()) throw new ApiError("shutting_down", "The daemon is stopping.");
  const writability = await app.lookAtStorage();
  if (writability.writable) return;
  throw new ApiError("storage_failed", `The journal cannot be written: ${writability.reason}.`, { extra });
}

/** The document of this API (openapi.ts). */
export function showOpenApi(_request: Request, app: Services): Reply {
  return text(200, app.openApi(), "application/json");
}

/** Paths that are kept for what comes later. */
export function notAvailableYet(request: PersonRequest, _app: App): MaybePromise<never> {
  return request.look(() => {
    throw new ApiError(
      "not_available_yet",
      `${request.transport.pattern} is reserved; this version does not serve it.`,
    );
  });
}
