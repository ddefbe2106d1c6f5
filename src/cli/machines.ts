/** `zwrm machines`: the org's machines, one of them, stopping and starting it, and why it is where it is. */
import { APPS } from "../wire/apps.ts";
import { MACHINE, MACHINES, PLACEMENT } from "../wire/machines.ts";
import type { ReceivedMachine as Machine, ReceivedPlacement as Placement } from "../wire/machines.ts";
import { appFlag, getApp } from "./apps.ts";
import type { Argument } from "./command.ts";
import { choiceFlag, command, readText, switchFlag, textFlag } from "./command.ts";
import { machineText } from "./deploy-follow.ts";
import { Following } from "./follow.ts";
import { ageOf, formatMebibytes } from "./format.ts";
import { followMachine, machinePath } from "./machine-follow.ts";
import { inOrder, isHistory, MACHINE_COLUMNS, machineRow, stateWord } from "./machine-table.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import { statusCell } from "./table.ts";

const DETACH = switchFlag("do not wait until it has happened");

const MACHINE_ID: Argument<string> = {
  placeholder: "ID",
  help: `the machine's id, as "zwrm machines" shows it`,
  read: readText,
};

export const machines = command({
  name: "machines",
  summary: "list the org's machines",
  details: [
    "By app, of each the oldest first. Machines that have ended and are replicas no more are shown with --all, for a",
    "day.",
    "STATE is stopped where an operator stopped a replica, exited with its code where it had done its work,",
    "replaced or ended where it went for good.",
  ].join("\n"),
  args: {},
  flags: {
    all: switchFlag("also those that have ended and are replicas no more"),
    app: appFlag("only machines of this app"),
    host: textFlag("ID", "only machines on this host"),
    state: choiceFlag("STATE", "only machines in this state, those that have ended too", [
      "pending",
      "starting",
      "running",
      "stopping",
      "stopped",
      "failed",
      "unknown",
    ]),
  },
  run: async (session, _args, { all, app, host, state }) => {
    // The list is asked for by the app's id; an app that is not there is an error, not an empty list.
    const appId = app === null ? undefined : (await getApp(session, app)).id;
    const { body } = await session.call("GET", "/v1/machines", {
      query: { app_id: appId, host_id: host ?? undefined, state: state ?? undefined },
    });
    if (session.json) session.printJson(body);
    else
      await showMachines(session, understand(MACHINES, body).machines, {
        filtered: app !== null || host !== null || state !== null,
        all: all || state !== null,
      });
    return 0;
  },
});

interface Shown {
  readonly filtered: boolean;
  /** Those too that have ended and are replicas no more. */
  readonly all: boolean;
}

async function showMachines(session: Session, list: readonly Machine[], { filtered, all }: Shown): Promise<void> {
  if (list.length === 0)
    return session.note(
      filtered ? "No machine is like that." : "There is no machine yet: zwrm deploy APP --image DIGEST",
    );
  const shown = all ? list : list.filter((machine) => !isHistory(machine));
  if (shown.length > 0) {
    // A machine knows its app's id; people know the name.
    const { apps } = understand(APPS, (await session.call("GET", "/v1/apps")).body);
    const names = new Map(apps.map(({ id, name }) => [id, name]));
    const nameOf = ({ app_id: id }: Machine): string => names.get(id) ?? id;
    const now = session.io.clock.wall();
    session.table(
      MACHINE_COLUMNS,
      inOrder(shown, nameOf).map((machine) => machineRow(machine, nameOf(machine), now)),
    );
  }
  const hidden = list.length - shown.length;
  if (hidden === 1) session.note("1 machine that has ended is not shown: --all shows it.");
  else if (hidden > 0) session.note(`${hidden} machines that have ended are not shown: --all shows them.`);
}

export const machinesShow = command({
  name: "machines show",
  summary: "show one machine",
  args: { id: MACHINE_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("GET", machinePath(id), {}, MACHINE, (machine) => showMachine(session, machine)),
});

function showMachine(session: Session, machine: Machine): void {
  const now = session.io.clock.wall();
  const ago = (at: string | undefined): string => (at === undefined ? "-" : `${ageOf(at, now)} ago`);
  session.facts([
    ["id", machine.id],
    ["app", machine.app_id],
    ["deployment", machine.deployment_id ?? "-"],
    ["host", machine.host_id ?? "-"],
    ["state", { text: stateWord(machine), colour: statusCell(machine.state).colour }],
    ["ready", machine.ready ? "yes" : "no"],
    ["desired", machine.desired_state],
    ...(machine.reason === undefined ? [] : [["reason", machine.reason] as const]),
    ...(machine.exit_code === undefined ? [] : [["exit code", String(machine.exit_code)] as const]),
    ["image", machine.image],
    ["cpus", String(machine.cpus)],
    ["memory", formatMebibytes(machine.memory_mb)],
    ["region", machine.region ?? "every"],
    ["restart", machine.restart ?? "-"],
    ...(machine.replaces === undefined ? [] : [["replaces", machine.replaces] as const]),
    ...(machine.replaced_by === undefined ? [] : [["replaced by", machine.replaced_by] as const]),
    ["created", ago(machine.created_at)],
    ["started", ago(machine.started_at)],
    ...(machine.ended_at === undefined ? [] : [["ended", ago(machine.ended_at)] as const]),
  ]);
}

export const machinesStop = command({
  name: "machines stop",
  summary: "stop a machine, which still counts as a replica and holds no capacity",
  args: { id: MACHINE_ID },
  flags: { detach: DETACH },
  run: (session, { id }, { detach }) => tell(session, id, "stop", detach),
});

export const machinesStart = command({
  name: "machines start",
  summary: "start a machine that was stopped; a host is chosen anew",
  args: { id: MACHINE_ID },
  flags: { detach: DETACH },
  run: (session, { id }, { detach }) => tell(session, id, "start", detach),
});

export const machinesRemove = command({
  name: "machines rm",
  summary: "delete a machine; its app gets another, unless it is scaled down",
  args: { id: MACHINE_ID },
  flags: { detach: DETACH },
  run: async (session, { id }, { detach }) => {
    await session.call("DELETE", machinePath(id));
    if (!detach) return followMachine(following(session, id, "deletion"), id, "rm");
    if (!session.json) session.line(`${id} is to stop and to go.`);
    return 0;
  },
});

function following(session: Session, id: string, what: string): Following {
  return new Following(session, { name: id, what, look: `see "zwrm machines show ${id}"` });
}

/** The answer says only that the wish was noted; an agent has yet to act on it. */
async function tell(session: Session, id: string, wish: "stop" | "start", detach: boolean): Promise<number> {
  const later = wish === "stop" ? `it is to stop. "zwrm machines start ${id}" brings it back.` : "it is to run.";
  if (detach)
    return session.show("POST", machinePath(id, wish), {}, MACHINE, (machine) =>
      session.line(`${id} ${machineText(machine)}; ${later}`),
    );
  await session.call("POST", machinePath(id, wish));
  return followMachine(following(session, id, wish), id, wish);
}

export const machinesExplain = command({
  name: "machines explain",
  summary: "tell why a machine is where it is, or nowhere, host by host",
  args: { id: MACHINE_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("GET", machinePath(id, "placement"), {}, PLACEMENT, (placement) => showPlacement(session, placement)),
});

function showPlacement(session: Session, { machine_id: id, decision, strategy, as_of: asOf, hosts }: Placement): void {
  session.line(`${id}: ${decision}`);
  if (hosts.length === 0) return;
  const how = [
    ...(strategy === undefined ? [] : [`strategy ${strategy}`]),
    ...(asOf === undefined ? [] : [`as of ${ageOf(asOf, session.io.clock.wall())} ago`]),
  ];
  if (how.length > 0) session.line(`(${how.join(", ")}; * marks the chosen host)`);
  session.line("");
  const rows = hosts.map((host) => [
    `${host.chosen ? "*" : " "} ${host.host_id}`,
    { text: host.fits ? "yes" : "no", colour: host.fits ? ("green" as const) : ("red" as const) },
    host.reason ?? "",
  ]);
  session.table([{ title: "  HOST" }, { title: "FITS" }, { title: "REASON", yields: 1, least: 16 }], rows);
}
