/** Where a machine goes, and why: one row per host, in words and numbers. Pure; it places nothing. */
import type { Since } from "../lib/elapsed.ts";
import type { AppId, HostId, MachineId } from "../lib/id-types.ts";
import type { State } from "../state/state.ts";
import type { Host } from "../state/types.ts";
import { holdsCapacity } from "../state/workload-reducers.ts";
import type { PlacementRow } from "../wire/machines.ts";
import type { Allocation } from "./allocations.ts";
import { statusOf } from "./modes.ts";

/** `spread`: the emptiest host first. `pack`: the fullest that still fits. */
export type Strategy = "spread" | "pack";

export interface Need {
  readonly app_id: AppId;
  /** The machine itself, where it has a host already: it is no company of its own. */
  readonly machine_id?: MachineId;
  readonly cpus: number;
  readonly memory_mb: number;
  readonly region: string | null;
}

/** What a choice is made from. */
export interface Scene {
  readonly state: State;
  readonly strategy: Strategy;
  /** How long ago a moment of the log was. */
  readonly since: Since;
  /** What is taken of a host, with whatever is planned on top. */
  allocated(hostId: HostId): Allocation;
  /** Where the machines of the app are, with whatever is planned on top. Absent: as the state has it. */
  company?(need: Need): Company;
}

/** A scene on which further machines are imagined, one after the other. */
export class Imagined implements Scene {
  readonly state: State;
  readonly strategy: Strategy;
  readonly since: Since;
  readonly #scene: Scene;
  readonly #added = new Map<HostId, Allocation>();
  readonly #companies = new Map<AppId, Company>();

  constructor(scene: Scene) {
    this.#scene = scene;
    this.state = scene.state;
    this.strategy = scene.strategy;
    this.since = scene.since;
  }

  allocated(hostId: HostId): Allocation {
    return this.#added.get(hostId) ?? this.#scene.allocated(hostId);
  }

  company(need: Need): Company {
    const known = this.#companies.get(need.app_id) ?? companyOf(this.state, need);
    this.#companies.set(need.app_id, known);
    return known;
  }

  add(need: Need, hostId: HostId): void {
    const { cpus, memory_mb, machines } = this.allocated(hostId);
    this.#added.set(hostId, { cpus: cpus + need.cpus, memory_mb: memory_mb + need.memory_mb, machines: machines + 1 });
    join(this.company(need), this.state, hostId);
  }
}

/** Hosts that are not to be taken, with the reason why. */
export type Excluded = ReadonlyMap<HostId, string>;

interface Candidate {
  readonly host: Host;
  /** Machines of the same app on the host, and on its datacenter. */
  readonly beside: number;
  readonly nearby: number;
  /** How full the host is with the machine on it, 0 to 1, by what it has least of. */
  readonly load: number;
  /** What was wrong with the host a short while ago, or null: it is taken where nothing else fits. */
  readonly trouble: string | null;
}

/** So long a host ranks last behind those that nothing is known against. */
const TROUBLE_MS = 600_000;

/** What keeps machines from starting on the host, as its agent said lately; null where nothing does. */
export function freshTrouble(host: Host, since: Since): string | null {
  return host.trouble !== null && since(host.trouble.at) < TROUBLE_MS ? host.trouble.reason : null;
}

export interface Choice {
  readonly hostId: HostId;
  /** What spoke for it, in words and numbers. */
  readonly why: string;
}

/**
 * The best host, or null where none fits: one that can start machines, as far as is known, then fewest machines of the
 * app on the host, then in its datacenter, then by strategy, then by id.
 */
export function choose(scene: Scene, need: Need, excluded: Excluded): Choice | null {
  let best: Candidate | null = null;
  let fitting = 0;
  const company = scene.company?.(need) ?? companyOf(scene.state, need);
  for (const host of scene.state.hosts.values()) {
    if (excluded.has(host.id) || obstacle(scene, need, host) !== null) continue;
    fitting += 1;
    const candidate = candidateOf(scene, need, host, company);
    if (best === null || isBetter(candidate, best, scene.strategy)) best = candidate;
  }
  if (best === null) return null;
  return {
    hostId: best.host.id,
    why:
      `${scene.strategy}: chosen of ${fitting} that fit among ${count(scene.state.hosts.size, "host")}; ` +
      `${describe(best)}`,
  };
}

/** Whether any host would take it. Costs next to nothing while one would. */
export function hasRoom(scene: Scene, need: Need): boolean {
  for (const host of scene.state.hosts.values()) if (obstacle(scene, need, host) === null) return true;
  return false;
}

function describe({ host, beside, nearby, load, trouble }: Candidate): string {
  return (
    `${trouble === null ? "" : `last of all (${trouble}); `}${beside} of the app's machines here, ` +
    `${nearby} in datacenter ${host.datacenter}; ${Math.round(load * 100)} % full with it`
  );
}

/**
 * Why each host is taken or not, sorted by id. `chosenId`: the host that was taken, or null to mark the one that would
 * be now.
 */
export function explain(scene: Scene, need: Need, excluded: Excluded, chosenId: HostId | null): PlacementRow[] {
  const chosen = chosenId ?? choose(scene, need, excluded)?.hostId ?? null;
  const company = companyOf(scene.state, need);
  const rows = [...scene.state.hosts.values()].map((host) => {
    const why = obstacle(scene, need, host) ?? excluded.get(host.id) ?? null;
    const reason = why ?? describe(candidateOf(scene, need, host, company));
    return { host_id: host.id, fits: why === null, chosen: host.id === chosen, reason };
  });
  return rows.sort((a, b) => (a.host_id < b.host_id ? -1 : 1));
}

/** Why no host takes it, in one sentence with the numbers that would have to change; null where one does. */
export function whyNowhere(scene: Scene, need: Need, excluded: Excluded = new Map()): string | null {
  for (const host of scene.state.hosts.values())
    if (!excluded.has(host.id) && obstacle(scene, need, host) === null) return null;
  const hosts = [...scene.state.hosts.values()];
  if (hosts.length === 0) return "no host is registered";
  const inRegion = hosts.filter((host) => need.region === null || host.region === need.region);
  if (inRegion.length === 0) return `no host is in region ${need.region ?? ""}; ${hosts.length} are elsewhere`;
  const open = inRegion.filter((host) => statusOf(host) === "active");
  if (open.length === 0)
    return `none of the ${inRegion.length} hosts${inPlace(need)} is active (${countStatus(inRegion)})`;
  const untried = open.filter((host) => !excluded.has(host.id));
  if (untried.length === 0)
    return `each of the ${open.length} active hosts${inPlace(need)} was tried (${[...excluded.values()].at(-1) ?? ""})`;
  const free = untried.map((host) => ({ host, ...freeOf(scene, host) }));
  const mostCpus = free.reduce((a, b) => (b.cpus > a.cpus ? b : a));
  const mostMemory = free.reduce((a, b) => (b.memory_mb > a.memory_mb ? b : a));
  if (mostCpus.cpus < need.cpus)
    return `needs ${count(need.cpus, "cpu")}; the largest free host ${mostCpus.host.id} has ${mostCpus.cpus}`;
  if (mostMemory.memory_mb < need.memory_mb)
    return (
      `needs ${need.memory_mb} MiB; the host with most free memory, ${mostMemory.host.id}, has ` +
      `${mostMemory.memory_mb}`
    );
  return (
    `needs ${count(need.cpus, "cpu")} and ${need.memory_mb} MiB on one host; ${mostCpus.host.id} has ` +
    `${mostCpus.cpus} and ${mostCpus.memory_mb} MiB free, ${mostMemory.host.id} has ${mostMemory.cpus} ` +
    `and ${mostMemory.memory_mb} MiB`
  );
}

/** What stands against a host, or null. */
function obstacle(scene: Scene, need: Need, host: Host): string | null {
  const status = statusOf(host);
  if (status === "offline") return `offline since ${host.offline_since ?? host.heard_at}`;
  if (status !== "active") return status === "draining" ? "draining" : "in maintenance";
  if (need.region !== null && host.region !== need.region) return `in region ${host.region}, not ${need.region}`;
  const free = freeOf(scene, host);
  if (free.cpus < need.cpus) return `needs ${count(need.cpus, "cpu")}, has ${free.cpus} of ${host.capacity.cpus} free`;
  if (free.memory_mb < need.memory_mb)
    return `needs ${need.memory_mb} MiB, has ${free.memory_mb} of ${host.capacity.memory_mb} free`;
  return null;
}

function freeOf(scene: Scene, host: Host): { cpus: number; memory_mb: number } {
  const taken = scene.allocated(host.id);
  return {
    cpus: Math.max(0, host.capacity.cpus - taken.cpus),
    memory_mb: Math.max(0, host.capacity.memory_mb - taken.memory_mb),
  };
}

/** How many of an app's machines are there to stay, by host and by datacenter. */
export interface Company {
  readonly hosts: Map<HostId, number>;
  readonly datacenters: Map<string, number>;
}

function companyOf(state: State, need: Need): Company {
  const company: Company = { hosts: new Map(), datacenters: new Map() };
  for (const machine of state.presentOf(need.app_id)) {
    if (machine.host_id === null || machine.id === need.machine_id || machine.removing || !holdsCapacity(machine))
      continue;
    join(company, state, machine.host_id);
  }
  return company;
}

function join({ hosts, datacenters }: Company, state: State, hostId: HostId): void {
  hosts.set(hostId, (hosts.get(hostId) ?? 0) + 1);
  const datacenter = state.hosts.get(hostId)?.datacenter;
  if (datacenter !== undefined) datacenters.set(datacenter, (datacenters.get(datacenter) ?? 0) + 1);
}

function candidateOf(scene: Scene, need: Need, host: Host, company: Company): Candidate {
  const taken = scene.allocated(host.id);
  const load = Math.max(
    (taken.cpus + need.cpus) / host.capacity.cpus,
    (taken.memory_mb + need.memory_mb) / host.capacity.memory_mb,
  );
  const [beside, nearby] = [company.hosts.get(host.id) ?? 0, company.datacenters.get(host.datacenter) ?? 0];
  return { host, beside, nearby, load, trouble: freshTrouble(host, scene.since) };
}

function isBetter(a: Candidate, b: Candidate, strategy: Strategy): boolean {
  if ((a.trouble === null) !== (b.trouble === null)) return a.trouble === null;
  if (a.beside !== b.beside) return a.beside < b.beside;
  if (a.nearby !== b.nearby) return a.nearby < b.nearby;
  if (a.load !== b.load) return strategy === "spread" ? a.load < b.load : a.load > b.load;
  return a.host.id < b.host.id;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function inPlace(need: Need): string {
  return need.region === null ? "" : ` in region ${need.region}`;
}

function countStatus(hosts: readonly Host[]): string {
  const counts = new Map<string, number>();
  for (const host of hosts) counts.set(statusOf(host), (counts.get(statusOf(host)) ?? 0) + 1);
  return [...counts].map(([status, n]) => `${n} ${status}`).join(", ");
}
