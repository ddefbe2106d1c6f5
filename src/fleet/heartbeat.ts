/** What a heartbeat changes: a pure comparison of what the agent reports with what the state knows. */
import type { MachineId } from "../lib/id-types.ts";
import { sha256Hex } from "../lib/ids.ts";
import type { EventOf, MachineReport } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Host, Machine } from "../state/types.ts";
import type { ReportedMachine } from "../wire/agents.ts";
import { isWanted } from "./desired.ts";

export interface Beat {
  /** X-Zwrm-Host-Key as sent, already checked against the bound one. */
  readonly key: string | null;
  /** undefined says nothing; a list is complete. */
  readonly machines: readonly ReportedMachine[] | undefined;
  /** Whether observed_revision is the current revision: only then a machine missing from the list is gone. */
  readonly current: boolean;
}

/** Null where the beat changes nothing, which is the common case and costs no disk. */
export function decideHeard(state: State, host: Host, beat: Beat): EventOf<"host.heard"> | null {
  const online = host.health === "offline";
  const keyHash = host.key_hash === null && beat.key !== null ? sha256Hex(beat.key) : null;
  const machines = beat.machines === undefined ? [] : compareMachines(state, host, beat.machines, beat.current);
  if (!online && keyHash === null && machines.length === 0) return null;
  return { type: "host.heard", data: { host_id: host.id, ...(online ? { online } : {}), key_hash: keyHash, machines } };
}

function compareMachines(
  state: State,
  host: Host,
  reported: readonly ReportedMachine[],
  current: boolean,
): MachineReport[] {
  const changes: MachineReport[] = [];
  const seen = new Set<MachineId>();
  for (const report of reported) {
    // Reported twice, it counts once: two states for one machine would differ from the known one at every beat.
    if (seen.has(report.id)) continue;
    seen.add(report.id);
    const machine = state.machines.get(report.id);
    // A machine that is not this host's is none of the state's business: it is not in the answer's list, so it shall
    // not run.
    if (machine === undefined || machine.host_id !== host.id || !isWanted(machine)) continue;
    // It was started anew here, and the agent, whose list is older, tells of how its run before ended.
    if (!current && machine.state === "pending" && report.state !== "starting" && report.state !== "running") continue;
    const next = toReport(machine, report);
    if (differs(machine, next)) changes.push(next);
  }
  if (!current) return changes;
  for (const machine of state.machines.group(host.id)) {
    if (!seen.has(machine.id) && isWanted(machine)) changes.push(gone(machine));
  }
  return changes;
}

function toReport(machine: Machine, report: ReportedMachine): MachineReport {
  if (isVain(machine, report))
    report = {
      ...report,
      state: "failed",
      reason: `it ended before its check had ever passed: ${report.reason ?? "exit code 0"}`,
    };
  const running = report.state === "running";
  return {
    id: machine.id,
    state: report.state,
    // Without a check a machine is ready when it runs.
    ready: running && (report.ready ?? machine.check === null),
    reason: report.reason ?? null,
    exit_code: report.exit_code ?? null,
    started_at: report.started_at ?? machine.started_at,
    ...(report.state === "failed" && report.fault === "host" ? { fault: "host" as const } : {}),
  };
}

/** A machine with a check is there to be ready; one that ends well before it ever was has not done its work. */
function isVain(machine: Machine, { state }: ReportedMachine): boolean {
  return (
    state === "stopped" && machine.desired_state === "running" && machine.check !== null && machine.ready_at === null
  );
}

/** The agent has the current list and does not report the machine. */
function gone(machine: Machine): MachineReport {
  const wasAsked = machine.desired_state === "stopped";
  return {
    id: machine.id,
    state: wasAsked ? "stopped" : "failed",
    ready: false,
    reason: wasAsked ? null : "gone_from_host",
    exit_code: null,
    started_at: machine.started_at,
  };
}

function differs(machine: Machine, report: MachineReport): boolean {
  return (
    machine.state !== report.state ||
    machine.ready !== report.ready ||
    machine.reason !== report.reason ||
    machine.exit_code !== report.exit_code ||
    machine.started_at !== report.started_at
  );
}
