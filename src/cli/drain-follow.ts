/** Follows a drain by asking for its status again and again, and says each change in a line; never changes the drain. */
import { ClientError } from "../client/errors.ts";
import type { Drain, DrainRow } from "./answers.ts";
import { DRAIN } from "./answers.ts";
import { formatElapsed } from "./format.ts";
import { hostPath } from "./host.ts";
import { CliError, pause } from "./io.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";

const POLL_MS = 2_000;
/** A daemon that is upgraded is back long before this. */
const PATIENCE_MS = 120_000;

/** Gives the exit code: 0 where the drain completed, else 1. With --json the last status goes to stdout and the lines to stderr. */
export async function followDrain(session: Session, id: string, first: Drain, firstBody: unknown): Promise<number> {
  const say = (text: string): void => (session.json ? session.note(`${id}: ${text}`) : session.line(`${id}: ${text}`));
  const started = session.io.clock.mono();
  say(`${first.state}, ${progressOf(first)}`);
  for (const row of first.machines) if (row.state !== "pending") say(rowText(row));
  let [drain, body] = [first, firstBody];
  while (drain.state === "draining") {
    await pause(session.io.clock, POLL_MS);
    body = await poll(session, id, say);
    const next = understand(DRAIN, body);
    for (const change of changes(drain, next)) say(change);
    drain = next;
  }
  say(ending(drain, id, session.io.clock.mono() - started));
  if (session.json) session.printJson(body);
  return drain.state === "completed" ? 0 : 1;
}

/** The status, asked for until there is an answer: the drain goes on while the daemon restarts, and so does this. */
async function poll(session: Session, id: string, say: (text: string) => void): Promise<unknown> {
  const since = session.io.clock.mono();
  for (let attempt = 0; ; attempt += 1) {
    try {
      const { body } = await session.call("GET", hostPath(id, "drain-status"));
      if (attempt > 0) say("the daemon answers again");
      return body;
    } catch (error) {
      if (!(error instanceof ClientError) || !isPassing(error)) throw error;
      if (attempt === 0) say(`no answer, trying again: ${error.message}`);
      const silent = session.io.clock.mono() - since;
      if (silent >= PATIENCE_MS) {
        throw new CliError(`No answer for ${formatElapsed(silent)}. The drain itself may go on: see "zwrm host drain-status ${id}".`, { cause: error });
      }
      await pause(session.io.clock, POLL_MS);
    }
  }
}

function isPassing({ code, status }: ClientError): boolean {
  return code === "unreachable" || code === "closed" || code === "timeout" || status === 429 || status === 502 || status === 503 || status === 504;
}

function changes(before: Drain, after: Drain): string[] {
  const known = new Map(before.machines.map((row) => [row.id, rowText(row)]));
  const lines = after.machines.map(rowText).filter((text, index) => known.get(after.machines[index]?.id ?? "") !== text);
  return progressOf(before) === progressOf(after) ? lines : [...lines, progressOf(after)];
}

function rowText({ id, state, target_host_id: target, replacement_id: replacement, reason }: DrainRow): string {
  const to = target === undefined ? "" : ` to ${target}`;
  const as = replacement === undefined ? "" : ` as ${replacement}`;
  return `${id} ${state}${to}${as}${reason === undefined ? "" : `: ${reason}`}`;
}

function progressOf({ migrated, total, failed }: Drain): string {
  return total === 0 ? "no machines to move" : `${migrated} of ${total} migrated${failed === 0 ? "" : `, ${failed} failed`}`;
}

function ending({ state, reason, remaining }: Drain, id: string, ms: number): string {
  switch (state) {
    case "completed":
      return `completed after ${formatElapsed(ms)}; the host is in maintenance. "zwrm host activate ${id}" brings it back`;
    case "failed":
      return `failed${reason === undefined ? "" : ` (${reason})`} with ${remaining} remaining; the host stays draining. Drain it again, or "zwrm host undrain ${id}"`;
    default:
      return `${state}; what has moved stays moved`;
  }
}
