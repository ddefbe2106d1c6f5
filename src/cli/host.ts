/** `zwrm host`: looking at hosts, and putting them back to work. Draining is host-drain.ts. */
import { HOST, HOSTS, REPLACED } from "../wire/hosts.ts";
import type { ReceivedHost as Host } from "../wire/hosts.ts";
import { anything } from "../wire/schema.ts";
import { ageOf, formatMebibytes } from "./format.ts";
import type { Argument } from "./command.ts";
import { choiceFlag, command, readText, textFlag } from "./command.ts";
import type { Session } from "./session.ts";
import type { Column } from "./table.ts";
import { statusCell } from "./table.ts";

export const HOST_ID: Argument<string> = {
  placeholder: "ID",
  help: `the host's id, as "zwrm host list" shows it`,
  read: readText,
};

export function hostPath(id: string, action = ""): string {
  return `/v1/hosts/${encodeURIComponent(id)}${action === "" ? "" : `/${action}`}`;
}

export const hostList = command({
  name: "host list",
  summary: "list the hosts with their status and what is allocated on them",
  args: {},
  flags: {
    status: choiceFlag("STATUS", "only hosts that are active, draining, maintenance or offline", [
      "active",
      "draining",
      "maintenance",
      "offline",
    ]),
    region: textFlag("REGION", "only hosts of this region"),
    datacenter: textFlag("DATACENTER", "only hosts of this datacenter"),
  },
  run: (session, _args, flags) => {
    const query = {
      status: flags.status ?? undefined,
      region: flags.region ?? undefined,
      datacenter: flags.datacenter ?? undefined,
    };
    const filtered = Object.values(query).some((value) => value !== undefined);
    return session.show("GET", "/v1/hosts", { query }, HOSTS, ({ hosts }) => {
      if (hosts.length > 0) showHosts(session, hosts);
      else
        session.note(
          filtered
            ? "No host is like that."
            : "No host is registered yet: start an agent with this control plane's address and licence key.",
        );
    });
  },
});

const HOST_COLUMNS: readonly Column[] = [
  { title: "ID" },
  { title: "STATUS" },
  { title: "REGION", yields: 6, least: 8 },
  { title: "DATACENTER", yields: 8 },
  { title: "ADDRESS", yields: 7 },
  { title: "CPUS", right: true, yields: 3 },
  { title: "MEMORY", right: true, yields: 4 },
  { title: "MACHINES", right: true, yields: 2 },
  { title: "HEARD", right: true, yields: 1 },
];

/** What is wrong with a host, where one of the list has anything. */
const TROUBLE_COLUMN: Column = { title: "TROUBLE", yields: 1, least: 12 };

function showHosts(session: Session, hosts: readonly Host[]): void {
  const now = session.io.clock.wall();
  const rows = hosts.map((host) => [
    host.id,
    statusCell(host.status),
    host.region,
    host.datacenter,
    host.ip_address ?? "-",
    `${host.allocated.cpus}/${host.capacity.cpus}`,
    `${formatMebibytes(host.allocated.memory_mb)} / ${formatMebibytes(host.capacity.memory_mb)}`,
    String(host.machine_count),
    ageOf(host.last_heartbeat_at, now),
  ]);
  if (hosts.every(({ trouble }) => trouble === undefined)) return session.table(HOST_COLUMNS, rows);
  const told = rows.map((row, index) => [...row, hosts[index]?.trouble ?? ""]);
  session.table([...HOST_COLUMNS, TROUBLE_COLUMN], told);
}

export const hostStatus = command({
  name: "host status",
  summary: "show one host with its capacity and what is left of it",
  args: { id: HOST_ID },
  flags: {},
  run: (session, { id }) => session.show("GET", hostPath(id), {}, HOST, (host) => showHost(session, host)),
});

function showHost(session: Session, host: Host): void {
  const now = session.io.clock.wall();
  const labels = Object.entries(host.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  session.facts([
    ["id", host.id],
    ["hostname", host.hostname],
    ["status", statusCell(host.status)],
    ["health", statusCell(host.health)],
    ["mode", statusCell(host.mode)],
    ...(host.mode_reason === undefined ? [] : [["reason", host.mode_reason] as const]),
    ...(host.trouble === undefined ? [] : [["trouble", host.trouble] as const]),
    ["region", host.region],
    ["datacenter", host.datacenter],
    ["address", host.ip_address ?? "-"],
    ["agent", host.agent_version ?? "-"],
    ["labels", labels.length === 0 ? "-" : labels.join(" ")],
    ["machines", String(host.machine_count)],
    ["heard", `${ageOf(host.last_heartbeat_at, now)} ago`],
    ["registered", `${ageOf(host.registered_at, now)} ago`],
  ]);
  session.line("");
  const none = { cpus: undefined, memory_mb: undefined, disk_mb: undefined };
  const sets = [host.capacity, host.allocated, host.available, host.usage ?? none];
  const row = (title: string, key: keyof typeof none, print: (value: number) => string): string[] => {
    return [title, ...sets.map(({ [key]: value }) => (value === undefined ? "-" : print(value)))];
  };
  const columns: readonly Column[] = [
    { title: "RESOURCE" },
    { title: "CAPACITY", right: true },
    { title: "ALLOCATED", right: true, yields: 1 },
    { title: "AVAILABLE", right: true },
    { title: "USED", right: true, yields: 2 },
  ];
  session.table(columns, [
    row("cpus", "cpus", String),
    row("memory", "memory_mb", formatMebibytes),
    row("disk", "disk_mb", formatMebibytes),
  ]);
}

export const hostUndrain = command({
  name: "host undrain",
  summary: "cancel a drain; the host is active again, and what has moved stays moved",
  args: { id: HOST_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("POST", hostPath(id, "undrain"), {}, anything, () =>
      session.line(`The drain of ${id} is cancelled; it is active.`),
    ),
});

export const hostActivate = command({
  name: "host activate",
  summary: "bring a host back from maintenance",
  args: { id: HOST_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("POST", hostPath(id, "activate"), {}, anything, () => session.line(`${id} is active.`)),
});

export const hostRemove = command({
  name: "host rm",
  summary: "take a host that will not come back off the list",
  details:
    "Only one that is offline. Should it come back after all, it registers anew and is told to stop " +
    "whatever was placed elsewhere meanwhile.",
  args: { id: HOST_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("DELETE", hostPath(id), {}, anything, () => session.line(`${id} is off the list.`)),
});

export const hostUnbindKey = command({
  name: "host unbind-key",
  summary: "let a host bind a new key after it has lost its own",
  details:
    "The next agent that registers or beats under this id with an X-Zwrm-Host-Key binds it. Do this only " +
    "when you know that host.",
  args: { id: HOST_ID },
  flags: {},
  run: (session, { id }) =>
    session.show("DELETE", hostPath(id, "key"), {}, anything, () =>
      session.line(`The key of ${id} is unbound; the next one that it sends is bound.`),
    ),
});

export const hostReplaceLost = command({
  name: "host replace-lost",
  summary: "let the machines of hosts that fell silent together be replaced elsewhere",
  details: [
    "When more than a third of the online hosts fall silent at once, a network is a likelier cause than " +
      "their deaths, so nothing is replaced",
    "until a host-admin says this. Where the hosts still run, both copies of a machine do.",
  ].join("\n"),
  args: {},
  flags: {},
  run: (session) =>
    session.show("POST", "/v1/hosts/replace-lost", {}, REPLACED, ({ host_ids: ids }) =>
      session.line(
        ids.length === 0
          ? "No lost host is held back; nothing was changed."
          : `The machines of ${ids.join(", ")} may be replaced.`,
      ),
    ),
});
