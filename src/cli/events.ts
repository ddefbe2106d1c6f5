/**
 * `zwrm events`: who did what, when and from where, a line an event; with --follow live, across restarts of the daemon.
 */
import type { IncomingHttpHeaders } from "node:http";
import { ClientError } from "../client/errors.ts";
import { command, switchFlag, textFlag, wholeFlag } from "./command.ts";
import { isPassing } from "./follow.ts";
import { pause } from "./io.ts";
import { Names } from "./names.ts";
import type { Session } from "./session.ts";
import type { Received } from "../wire/schema.ts";
import { EVENT, EVENT_PAGE } from "../wire/service.ts";
import type { ReceivedEvent as Event } from "../wire/service.ts";
import { understand } from "./session.ts";
import { summaryOf } from "./summary.ts";

const PAGE = 1_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

interface Filter {
  readonly type: string | null;
  readonly actor: string | null;
}

export const events = command({
  name: "events",
  summary: "show who did what, when and from where; for host-admins",
  details: [
    "A line is TIME SEQ ACTOR TYPE and the rest of the event, in short on a terminal; users are shown by their",
    "emails where they are known.",
    "--json prints each event whole, one JSON object a line.",
    "It begins with the oldest event that is kept, or after --after. --follow goes on with what happens, " +
      "until Ctrl-C; while the daemon",
    "restarts it waits, and leaves nothing out. Where another log answers then, such as a restored one, it says so and",
    "begins anew.",
  ].join("\n"),
  args: {},
  flags: {
    follow: { ...switchFlag("go on with new events as they happen"), short: "f" },
    after: wholeFlag("SEQ", "begin after this sequence number", { min: 0, max: 999_999_999_999_999 }),
    type: textFlag("TYPE", "only this type (api_key.created), or all of its kind (api_key)"),
    actor: textFlag("WHO", "only what these did: user, host, localhost, socket, system, or one of them by id or email"),
  },
  run: async (session, _args, { follow, after, type, actor }) => {
    const names = new Names();
    if (!session.json || actor !== null) await names.load(session);
    const print = printer(session, { type, actor }, names);
    const read = follow ? followAll : listAll;
    try {
      await read(session, after ?? 0, print);
    } catch (error) {
      const oldest = after === null ? oldestOf(error) : null;
      if (oldest === null) throw error;
      session.note(`Events before ${oldest} were let go by the operator.`);
      await read(session, oldest - 1, print);
    }
    return 0;
  },
});

/** Where the log begins, if that is why a call was refused. */
function oldestOf(error: unknown): number | null {
  const oldest = error instanceof ClientError && error.code === "compacted" ? error.extra["oldest_seq"] : null;
  return typeof oldest === "number" && oldest > 0 ? oldest : null;
}

/** Prints an event, if it is wanted, and gives its seq. */
type Print = (event: unknown) => number;

function printer(session: Session, filter: Filter, names: Names): Print {
  const terms = { brief: session.io.stdout.isTerminal, nameOf: (id: string) => names.of(id) };
  return (body) => {
    const event = understand(EVENT, body);
    if (isWanted(event, filter, names)) {
      if (session.json) session.printJsonLine(body);
      else
        session.line(
          [event.at, event.seq, actorOf(event, names), event.type, summaryOf(event.data, terms)].join("  ").trimEnd(),
        );
    }
    names.learn(event.data);
    return event.seq;
  };
}

function isWanted({ type, actor }: Event, wanted: Filter, known: Names): boolean {
  const [kind = "", id = ""] = [actor?.kind, actor?.id];
  const names = [kind, id, `${kind}:${id}`, known.of(id), `${kind}:${known.of(id)}`];
  return (
    (wanted.type === null || type === wanted.type || type.startsWith(`${wanted.type}.`)) &&
    (wanted.actor === null || names.includes(wanted.actor))
  );
}

/** `user:ann@example.com@192.0.2.7`, `user:usr_1@192.0.2.7` where nobody knows the user any more, `system`. */
function actorOf({ actor }: Event, names: Names): string {
  if (actor === undefined) return "-";
  const who = actor.id === undefined ? actor.kind : `${actor.kind}:${names.of(actor.id)}`;
  return actor.ip === undefined ? who : `${who}@${actor.ip}`;
}

async function listAll(session: Session, from: number, print: Print): Promise<void> {
  let cluster: string | undefined;
  for (let after: number | undefined = from; after !== undefined;) {
    const { body } = await session.call("GET", "/v1/events", { query: { after, limit: PAGE, cluster_id: cluster } });
    const page: Received<typeof EVENT_PAGE> = understand(EVENT_PAGE, body);
    for (const event of page.events) print(event);
    after = page.next_after;
    cluster = page.cluster_id;
  }
}

/**
 * Streams without an end. A stream that breaks is taken up again behind the last event; the first one must come about.
 */
async function followAll(session: Session, from: number, print: Print): Promise<void> {
  const place: Place = { after: from, cluster: undefined };
  let wasOpen = false;
  let pauseMs = FIRST_PAUSE_MS;
  const onOpen = (headers: IncomingHttpHeaders): void => {
    if (pauseMs > FIRST_PAUSE_MS) session.note("The daemon answers again.");
    [wasOpen, pauseMs] = [true, FIRST_PAUSE_MS];
    const named = headers["x-zwrm-cluster"];
    if (typeof named === "string") place.cluster = named;
  };
  for (;;) {
    let why = "The daemon has ended the stream.";
    try {
      const call = { query: { cluster_id: place.cluster }, headers: { "Last-Event-ID": String(place.after) }, onOpen };
      for await (const { data } of session.stream("/v1/events", call)) place.after = print(parse(data));
    } catch (error) {
      if (!wasOpen || !(error instanceof ClientError)) throw error;
      const anew = anewBecause(error, place);
      if (anew !== null) {
        session.note(anew);
        // Where two daemons answer in turn behind one address, this does not run hot.
        await pause(session.io.clock, FIRST_PAUSE_MS);
        continue;
      }
      if (!isPassing(error)) throw error;
      why = error.message;
    }
    // Once a break, not once a try.
    if (pauseMs === FIRST_PAUSE_MS) session.note(`${why} Waiting to go on.`);
    await pause(session.io.clock, pauseMs);
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
  }
}

/** How far a log was read, and whose it is. */
interface Place {
  after: number;
  /** Unknown where an older daemon does not say. */
  cluster: string | undefined;
}

/**
 * Goes to where reading begins anew, and says why: another log answers than the one that was followed. Null where it is
 * the same one.
 */
function anewBecause(error: ClientError, place: Place): string | null {
  const before = { ...place };
  const { cluster_id: cluster, last_seq: last } = error.extra;
  if (error.code !== "other_cluster" && error.code !== "ahead_of_log") {
    const oldest = before.after === 0 ? oldestOf(error) : null;
    if (oldest === null) return null;
    place.after = oldest - 1;
    return `Events before ${oldest} were let go by the operator.`;
  }
  place.after = 0;
  place.cluster = typeof cluster === "string" ? cluster : undefined;
  const isOther = before.cluster !== undefined && before.cluster !== place.cluster;
  const what = isOther
    ? `Another cluster answers, ${place.cluster ?? "without a name"} instead of ${before.cluster}`
    : `The log ends with ${String(last)}, and ${before.after} was seen of it`;
  const anew = "and what follows begins anew with its first event";
  return `${what}: what was read up to ${before.after} may not be in it, ${anew}.`;
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    throw new ClientError("bad_answer", "The stream holds an event that is not JSON.");
  }
}
