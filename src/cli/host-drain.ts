/**
 * `zwrm host drain` and `drain-status`: starting a drain and showing how far it is. Following it is drain-follow.ts.
 */
import { DRAIN } from "../wire/hosts.ts";
import type { ReceivedDrain as Drain, ReceivedDrainRow as DrainRow } from "../wire/hosts.ts";
import { command, secondsFlag, switchFlag, textFlag, wholeFlag } from "./command.ts";
import { followDrain } from "./drain-follow.ts";
import { ageOf } from "./format.ts";
import { HOST_ID, hostPath } from "./host.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import type { Column } from "./table.ts";
import { statusCell } from "./table.ts";

export const hostDrain = command({
  name: "host drain",
  summary: "move the machines off a host, which is then in maintenance",
  details: [
    "Each machine is replaced elsewhere before it is stopped. The command follows the drain with a line for " +
      "each change and ends with it: exit code 0",
    "where it completed, 1 where it was cancelled, or where machines that are blocked or failed are left at " +
      "the deadline. Ctrl-C ends the following, not",
    "the drain; the same command without flags follows it again.",
  ].join("\n"),
  args: { id: HOST_ID },
  flags: {
    "max-parallel": wholeFlag("N", "machines that move at once (default 2)", { min: 1, max: 1_000 }),
    deadline: secondsFlag("TIME", "give up after this long, such as 10m; what has not moved by then stays"),
    reason: textFlag("TEXT", "why, for those who look at the host"),
    force: switchFlag("stop what is left at the deadline"),
    "dry-run": switchFlag("show what would be moved, and change nothing"),
    detach: switchFlag("start the drain and do not follow it"),
  },
  run: async (session, { id }, flags) => {
    const body = {
      ...(flags["max-parallel"] === null ? {} : { max_parallel: flags["max-parallel"] }),
      ...(flags.deadline === null ? {} : { deadline_seconds: flags.deadline }),
      ...(flags.reason === null ? {} : { reason: flags.reason }),
      ...(flags.force ? { force: true } : {}),
      ...(flags["dry-run"] ? { dry_run: true } : {}),
    };
    const path = hostPath(id, "drain");
    if (flags["dry-run"]) return session.show("POST", path, { body }, DRAIN, (plan) => showPlan(session, plan));
    if (flags.detach) return session.show("POST", path, { body }, DRAIN, (drain) => showStarted(session, drain));
    const { body: started } = await session.call("POST", path, { body });
    return followDrain(session, id, understand(DRAIN, started), started);
  },
});

export const hostDrainStatus = command({
  name: "host drain-status",
  summary: "show how far a drain is, machine by machine",
  args: { id: HOST_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("GET", hostPath(id, "drain-status"), {}, DRAIN, (drain) => showDrain(session, drain)),
});

function showStarted(session: Session, drain: Drain): void {
  session.line(`${drain.host_id} is draining: ${countOf(drain)}. See "zwrm host drain-status ${drain.host_id}".`);
}

const ROW_COLUMNS: readonly Column[] = [
  { title: "MACHINE" },
  { title: "APP", yields: 1, least: 6 },
  { title: "STATE" },
  { title: "TO HOST", yields: 2, least: 7 },
  { title: "REPLACEMENT", yields: 4 },
  { title: "REASON", yields: 3, least: 16 },
];

function showPlan(session: Session, plan: Drain): void {
  const stuck = plan.machines.filter(({ state }) => state === "blocked").length;
  const left = stuck === 0 ? "" : `, of which ${stuck} ${stuck === 1 ? "has" : "have"} nowhere to go now`;
  session.line(`A drain of ${plan.host_id} would move ${countOf(plan)}${left}. Nothing was changed.`);
  if (plan.machines.length === 0) return;
  session.table(
    ROW_COLUMNS.filter(({ title }) => title !== "REPLACEMENT"),
    plan.machines.map((row) => [
      row.id,
      row.app_name ?? row.app_id ?? "-",
      statusCell(row.state),
      row.target_host_id ?? "-",
      row.reason ?? "",
    ]),
  );
}

function showDrain(session: Session, drain: Drain): void {
  const now = session.io.clock.wall();
  session.facts([
    ["host", drain.host_id],
    ["state", statusCell(drain.state)],
    ...(drain.reason === undefined ? [] : [["reason", drain.reason] as const]),
    ...(drain.started_at === undefined ? [] : [["started", `${ageOf(drain.started_at, now)} ago`] as const]),
    ...(drain.finished_at === undefined ? [] : [["finished", `${ageOf(drain.finished_at, now)} ago`] as const]),
    ...(drain.deadline_at === undefined ? [] : [["deadline", drain.deadline_at] as const]),
    ["machines", `${drain.migrated} of ${drain.total} migrated, ${drain.remaining} remaining, ${drain.failed} failed`],
  ]);
  if (drain.machines.length === 0) return;
  session.line("");
  showRows(session, drain.machines);
}

function showRows(session: Session, rows: readonly DrainRow[]): void {
  const cells = rows.map((row) => [
    row.id,
    row.app_name ?? row.app_id ?? "-",
    statusCell(row.state),
    row.target_host_id ?? "-",
    row.replacement_id ?? "-",
    row.reason ?? "",
  ]);
  session.table(ROW_COLUMNS, cells);
}

function countOf({ total }: Drain): string {
  return total === 1 ? "1 machine" : `${total} machines`;
}
