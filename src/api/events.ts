/**
 * GET /v1/events: who did what, when and from where; a page of it as JSON, or all of it, live, as server-sent events.
 * Never a secret.
 */
import type { ServerResponse } from "node:http";
import { prefersSpecial } from "../http/accept.ts";
import { drained } from "../http/drained.ts";
import { json } from "../http/respond.ts";
import type { BodyPump, Reply } from "../http/types.ts";
import { JournalCompacted } from "../journal/errors.ts";
import type { JournalRecord } from "../journal/types.ts";
import { ApiError } from "../lib/errors.ts";
import { redactRecord } from "../state/redact.ts";
import { CLUSTER_KEY } from "../state/state.ts";
import type { QueryOf } from "../wire/call.ts";
import { readField } from "../wire/schema.ts";
import type { EVENTS_QUERY } from "../wire/service.ts";
import { SEQ } from "../wire/service.ts";
import type { App } from "./app.ts";
import type { PersonRequest } from "./request.ts";

const DEFAULT_LIMIT = 100;
/** Told how many bytes of a body have gone. */
type Sent = (bytes: number) => void;

/** In the headers of a stream, which has no other place for it. */
const CLUSTER_HEADER = "X-Zwrm-Cluster";
/** A comment now and then tells the client, and every box between, that the line is alive. */
const KEEP_ALIVE_MS = 15_000;

type Listing = PersonRequest<never, unknown, QueryOf<typeof EVENTS_QUERY>>;

export async function listEvents(request: Listing, app: App): Promise<Reply> {
  const { transport, query } = request;
  // An empty one is what a client has that has seen no event yet.
  const lastEventId = transport.header("last-event-id") || null;
  const after = Number(lastEventId === null ? (query.after ?? "0") : readField(SEQ, "after", lastEventId));
  refuseForeign(app, after, query.cluster_id);
  if (prefersSpecial(transport.header("accept"), "text/event-stream", "application/json"))
    return streamEvents(request, app, after);
  const limit = Number(query.limit ?? DEFAULT_LIMIT);
  const events: JournalRecord[] = [];
  await orCompacted(async () => {
    for await (const record of app.feed.read(after)) {
      events.push(redactRecord(record));
      if (events.length === limit) break;
    }
  });
  const last = events.at(-1);
  const isMore = last !== undefined && last.seq < app.feed.lastSeq;
  return json(200, { events, next_after: isMore ? last.seq : null, cluster_id: clusterOf(app) });
}

/** The first line is read before the headers go out, so that a gap is a 410 and not a broken stream. */
async function streamEvents(request: Listing, app: App, after: number): Promise<Reply> {
  await orCompacted(async () => {
    // Left by `break`, which closes the file; a generator that is only dropped keeps it open.
    for await (const _first of app.feed.read(after)) break;
  });
  const body: BodyPump = (res, sent) => pump(request, app, after, res, sent);
  const cluster = { [CLUSTER_HEADER]: clusterOf(app) };
  const asStream = { "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no" };
  return { status: 200, headers: { ...asStream, ...cluster }, body };
}

/** Runs until the client leaves, the daemon stops, or the token that opened it is no more. */
async function pump(request: Listing, app: App, from: number, res: ServerResponse, sent: Sent): Promise<void> {
  const { feed, clock } = app;
  const isOver = (): boolean => res.destroyed || feed.closed || !request.stands();
  const write = async (text: string): Promise<void> => {
    sent(Buffer.byteLength(text));
    if (!res.write(text) && !res.destroyed) await drained(res);
  };
  let wake = (): void => undefined;
  request.transport.onFinish(() => wake());
  await write(`: zwrmd events of cluster ${clusterOf(app)}\n\n`);
  let after = from;
  while (!isOver()) {
    for await (const record of feed.read(after)) {
      if (isOver()) return;
      await write(`id: ${record.seq}\nevent: ${record.type}\ndata: ${JSON.stringify(redactRecord(record))}\n\n`);
      after = record.seq;
    }
    const endWait = clock.after(KEEP_ALIVE_MS, () => wake());
    await feed.more(after, (cancel) => (wake = cancel));
    endWait();
    if (feed.lastSeq === after && !isOver()) await write(": alive\n\n");
  }
}

/**
 * A position says something only of the log that it was read in: after a restore the same number is another event, or
 * one yet to come.
 */
function refuseForeign(app: App, after: number, asked: string | undefined): void {
  const own = clusterOf(app);
  const extra = { last_seq: app.feed.lastSeq, cluster_id: own };
  if (asked !== undefined && asked !== own) {
    const message = `This is the cluster ${own}, and the position is one of ${asked}: begin anew.`;
    throw new ApiError("other_cluster", message, { extra });
  }
  if (after <= extra.last_seq) return;
  const message = `The log ends with seq ${extra.last_seq}, so nothing of it was read up to ${after}: begin anew.`;
  throw new ApiError("ahead_of_log", message, { extra });
}

function clusterOf({ store }: App): string {
  return store.state.cluster.get(CLUSTER_KEY)?.id ?? "";
}

async function orCompacted(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof JournalCompacted)) throw error;
    throw new ApiError("compacted", `Events before ${error.oldestSeq} were let go by the operator.`, {
      extra: { oldest_seq: error.oldestSeq },
    });
  }
}
