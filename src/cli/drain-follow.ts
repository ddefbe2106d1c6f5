/**
 * Follows a drain by asking for its status again and again, and says each change in a line; never changes the drain.
 */
import { DRAIN } from "../wire/hosts.ts";
import type { ReceivedDrain as Drain, ReceivedDrainRow as DrainRow } from "../wire/hosts.ts";
import type { Change } from "./follow.ts";
import { Following, newsIn } from "./follow.ts";
import { formatElapsed } from "./format.ts";
import { hostPath } from "./host.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";

/**
 * Gives the exit code: 0 where the drain completed, else 1. With --json the last status goes to stdout and the lines to
 * stderr.
 */
export async function followDrain(session: Session, id: string, first: Drain, firstBody: unknown): Promise<number> {
  const following = new Following(session, { name: id, what: "drain", look: `see "zwrm host drain-status ${id}"` });
  const started = following.now;
  const { drain, body } = await following.untilInterrupted(
    `, follow it again with "zwrm host drain ${id}", or cancel it with "zwrm host undrain ${id}"`,
    () => watch(following, id, first, firstBody),
  );
  following.say(ending(drain, id, following.now - started));
  if (session.json) session.printJson(body);
  return drain.state === "completed" ? 0 : 1;
}

/** Until the drain is over, which the last answer says. */
async function watch(
  following: Following,
  id: string,
  first: Drain,
  firstBody: unknown,
): Promise<{ readonly drain: Drain; readonly body: unknown }> {
  following.say(`${first.state}, ${progressOf(first)}`);
  following.sayChanges(first.machines.filter(({ state }) => state !== "pending").map(changeOf));
  let [drain, body] = [first, firstBody];
  while (drain.state === "draining") {
    await following.rest();
    ({ body } = await following.ask("GET", hostPath(id, "drain-status")));
    const next = understand(DRAIN, body);
    following.sayChanges(changes(drain, next));
    if (progressOf(drain) !== progressOf(next)) following.say(progressOf(next));
    drain = next;
  }
  return { drain, body };
}

function changes(before: Drain, after: Drain): Change[] {
  const news = (row: DrainRow): string => newsIn(row.state, rowText(row));
  const known = new Map(before.machines.map((row) => [row.id, news(row)]));
  return after.machines.filter((row) => known.get(row.id) !== news(row)).map(changeOf);
}

function changeOf(row: DrainRow): Change {
  return { id: row.id, text: rowText(row) };
}

/** `starting on h-3 as m-9`, `stopping, m-9 runs on h-3`, `migrated to h-3 as m-9`, `blocked: needs 4 cpus; …`. */
function rowText({ state, target_host_id: target, replacement_id: replacement, reason }: DrainRow): string {
  const why = reason === undefined ? "" : `: ${reason}`;
  const on = target === undefined ? "" : ` on ${target}`;
  // Forced at the deadline, a machine stops without a replacement.
  if (state === "stopping") return `stopping${replacement === undefined ? "" : `, ${replacement} runs${on}`}${why}`;
  const where = state === "migrated" ? on.replace(" on ", " to ") : on;
  return `${state}${where}${replacement === undefined ? "" : ` as ${replacement}`}${why}`;
}

function progressOf({ migrated, total, failed }: Drain): string {
  return total === 0
    ? "no machines to move"
    : `${migrated} of ${total} migrated${failed === 0 ? "" : `, ${failed} failed`}`;
}

function ending(
  { state, reason, deadline_at: deadline, total, migrated, remaining }: Drain,
  id: string,
  ms: number,
): string {
  switch (state) {
    case "completed":
      return (
        `completed after ${formatElapsed(ms)}; the host is in maintenance. "zwrm host activate ${id}" ` +
        "brings it back"
      );
    case "failed": {
      const why = reason ?? (deadline === undefined ? undefined : `the deadline ${deadline} passed`);
      const hint = `"zwrm host drain-status ${id}" shows why; drain it again, or "zwrm host undrain ${id}"`;
      return (
        `failed after ${formatElapsed(ms)}${why === undefined ? "" : ` (${why})`} with ${remaining} ` +
        `remaining; the host stays draining. ${hint}`
      );
    }
    default:
      return `${state} after ${formatElapsed(ms)} with ${migrated} of ${total} migrated; what has moved stays moved`;
  }
}
