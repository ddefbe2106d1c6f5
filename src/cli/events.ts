/** `zwrm events`: who did what, when and from where, a line an event; with --follow live, across restarts of the daemon. */
import { ClientError } from "../client/errors.ts";
import type { Event } from "./answers.ts";
import { EVENT, EVENTS } from "./answers.ts";
import { command, switchFlag, textFlag, wholeFlag } from "./command.ts";
import { isPassing } from "./follow.ts";
import { pause } from "./io.ts";
import { Names } from "./names.ts";
import type { Session } from "./session.ts";
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
    "It begins with the oldest event that is kept, or after --after. --follow goes on with what happens, until Ctrl-C; while the daemon",
    "restarts it waits, and leaves nothing out.",
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
  return (wanted.type === null || type === wanted.type || type.startsWith(`${wanted.type}.`)) && (wanted.actor === null || names.includes(wanted.actor));
}

/** `user:ann@example.com@192.0.2.7`, `user:usr_1@192.0.2.7` where nobody knows the user any more, `system`. */
function actorOf({ actor }: Event, names: Names): string {
  if (actor === undefined) return "-";
  return `${actor.kind}${actor.id === undefined ? "" : `:${names.of(actor.id)}`}${actor.ip === undefined ? "" : `@${actor.ip}`}`;
}

async function listAll(session: Session, from: number, print: Print): Promise<void> {
  for (let after: number | undefined = from; after !== undefined; ) {
    const { body } = await session.call("GET", "/v1/events", { query: { after, limit: PAGE } });
    const page: { readonly events: readonly unknown[]; readonly next_after: number | undefined } = understand(EVENTS, body);
    for (const event of page.events) print(event);
    after = page.next_after;
  }
}

/** Streams without an end. A stream that breaks is taken up again behind the last event; the first one must come about. */
async function followAll(session: Session, from: number, print: Print): Promise<void> {
  let after = from;
  let wasOpen = false;
  let pauseMs = FIRST_PAUSE_MS;
  const onOpen = (): void => {
    if (pauseMs > FIRST_PAUSE_MS) session.note("The daemon answers again.");
    [wasOpen, pauseMs] = [true, FIRST_PAUSE_MS];
  };
  for (;;) {
    let why = "The daemon has ended the stream.";
    try {
      for await (const { data } of session.stream("/v1/events", { headers: { "Last-Event-ID": String(after) }, onOpen })) after = print(parse(data));
    } catch (error) {
      if (!wasOpen || !(error instanceof ClientError) || !isPassing(error)) throw error;
      why = error.message;
    }
    // Once a break, not once a try.
    if (pauseMs === FIRST_PAUSE_MS) session.note(`${why} Waiting to go on.`);
    await pause(session.io.clock, pauseMs);
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
  }
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    throw new ClientError("bad_answer", "The stream holds an event that is not JSON.");
  }
}
