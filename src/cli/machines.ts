/** `zwrm machines`: the org's machines, one of them, stopping and starting it, and why it is where it is. */
import type { Machine, Placement } from "./answers.ts";
import { ANYTHING, APPS, MACHINE, MACHINES, PLACEMENT } from "./answers.ts";
import { appFlag, getApp, shortDigest } from "./apps.ts";
import type { Argument } from "./command.ts";
import { choiceFlag, command, readText, textFlag } from "./command.ts";
import { machineText } from "./deploy-follow.ts";
import { ageOf, formatMebibytes } from "./format.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import { statusCell } from "./table.ts";

const MACHINE_ID: Argument<string> = { placeholder: "ID", help: `the machine's id, as "zwrm machines" shows it`, read: readText };

function machinePath(id: string, action = ""): string {
  return `/v1/machines/${encodeURIComponent(id)}${action === "" ? "" : `/${action}`}`;
}

export const machines = command({
  name: "machines",
  summary: "list the org's machines",
  details: "Machines that have ended are listed for a day.",
  args: {},
  flags: {
    app: appFlag("only machines of this app"),
    host: textFlag("ID", "only machines on this host"),
    state: choiceFlag("STATE", "only machines in this state", ["pending", "starting", "running", "stopping", "stopped", "failed", "unknown"]),
  },
  run: async (session, _args, { app, host, state }) => {
    // The list is asked for by the app's id; an app that is not there is an error, not an empty list.
    const appId = app === null ? undefined : (await getApp(session, app)).id;
    const { body } = await session.call("GET", "/v1/machines", { query: { app_id: appId, host_id: host ?? undefined, state: state ?? undefined } });
    if (session.json) session.printJson(body);
    else await showMachines(session, understand(MACHINES, body).machines, app !== null || host !== null || state !== null);
    return 0;
  },
});

async function showMachines(session: Session, list: readonly Machine[], filtered: boolean): Promise<void> {
  if (list.length === 0) return session.note(filtered ? "No machine is like that." : "There is no machine yet: zwrm deploy APP --image DIGEST");
  // A machine knows its app's id; people know the name.
  const { apps } = understand(APPS, (await session.call("GET", "/v1/apps")).body);
  const names = new Map(apps.map(({ id, name }) => [id, name]));
  const now = session.io.clock.wall();
  const words = ["ID", "APP", "HOST", "STATE", "READY", "IMAGE"].map((title) => ({ title }));
  const rows = list.map((machine) => [
    machine.id,
    names.get(machine.app_id) ?? machine.app_id,
    machine.host_id ?? "-",
    statusCell(machine.state),
    machine.ready ? "yes" : "no",
    shortDigest(machine.image),
    ageOf(machine.created_at, now),
    machine.reason ?? "",
  ]);
  session.table([...words, { title: "AGE", right: true }, { title: "REASON" }], rows);
}

export const machinesShow = command({
  name: "machines show",
  summary: "show one machine",
  args: { id: MACHINE_ID },
  flags: {},
  run: (session, { id }) => session.show("GET", machinePath(id), {}, MACHINE, (machine) => showMachine(session, machine)),
});

function showMachine(session: Session, machine: Machine): void {
  const now = session.io.clock.wall();
  const ago = (at: string | undefined): string => (at === undefined ? "-" : `${ageOf(at, now)} ago`);
  session.facts([
    ["id", machine.id],
    ["app", machine.app_id],
    ["deployment", machine.deployment_id ?? "-"],
    ["host", machine.host_id ?? "-"],
    ["state", statusCell(machine.state)],
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
  flags: {},
  run: (session, { id }) =>
    session.show("POST", machinePath(id, "stop"), {}, MACHINE, (machine) => session.line(`${id} ${machineText(machine)}; it is to stop. "zwrm machines start ${id}" brings it back.`)),
});

export const machinesStart = command({
  name: "machines start",
  summary: "start a machine that was stopped; a host is chosen anew",
  args: { id: MACHINE_ID },
  flags: {},
  run: (session, { id }) => session.show("POST", machinePath(id, "start"), {}, MACHINE, (machine) => session.line(`${id} ${machineText(machine)}; it is to run.`)),
});

export const machinesRemove = command({
  name: "machines rm",
  summary: "delete a machine; its app gets another, unless it is scaled down",
  args: { id: MACHINE_ID },
  flags: {},
  run: (session, { id }) => session.show("DELETE", machinePath(id), {}, ANYTHING, () => session.line(`${id} is deleted.`)),
});

export const machinesExplain = command({
  name: "machines explain",
  summary: "tell why a machine is where it is, or nowhere, host by host",
  args: { id: MACHINE_ID },
  flags: {},
  run: (session, { id }) => session.show("GET", machinePath(id, "placement"), {}, PLACEMENT, (placement) => showPlacement(session, placement)),
});

function showPlacement(session: Session, { machine_id: id, decision, strategy, as_of: asOf, hosts }: Placement): void {
  session.line(`${id}: ${decision}`);
  if (hosts.length === 0) return;
  const how = [...(strategy === undefined ? [] : [`strategy ${strategy}`]), ...(asOf === undefined ? [] : [`as of ${ageOf(asOf, session.io.clock.wall())} ago`])];
  if (how.length > 0) session.line(`(${how.join(", ")}; * marks the chosen host)`);
  session.line("");
  const rows = hosts.map((host) => [`${host.chosen ? "*" : " "} ${host.host_id}`, { text: host.fits ? "yes" : "no", colour: host.fits ? ("green" as const) : ("red" as const) }, host.reason ?? ""]);
  session.table([{ title: "  HOST" }, { title: "FITS" }, { title: "REASON" }], rows);
}
