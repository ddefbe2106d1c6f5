/** Machines as a table: which of them a person wants to see, in which order, and in which words. Asks nothing. */
import type { ReceivedMachine as Machine } from "../wire/machines.ts";
import { shortDigest } from "./apps.ts";
import { ageOf } from "./format.ts";
import type { Cell, Column } from "./table.ts";
import { statusCell } from "./table.ts";

export const MACHINE_COLUMNS: readonly Column[] = [
  { title: "ID" },
  { title: "APP", yields: 1, least: 6 },
  { title: "HOST", yields: 2, least: 12 },
  { title: "STATE" },
  { title: "READY", yields: 4 },
  { title: "IMAGE", yields: 6 },
  { title: "AGE", right: true, yields: 5 },
  { title: "REASON", yields: 3, least: 16 },
];

/** It has ended and is no replica of its app any more: it is listed for a day, for those who look for it. */
export function isHistory(machine: Machine): boolean {
  return hasEnded(machine) && isLeaving(machine);
}

/**
 * What became of it, in a word. `stopped` is said of a replica alone that an operator stopped: one that made room for
 * another was `replaced`, one that had done its work `exited` with its code, and another that went for good has
 * `ended`.
 */
export function stateWord(machine: Machine): string {
  if (machine.state !== "stopped") return machine.state;
  if (isLeaving(machine)) return machine.replaced_by === undefined ? "ended" : "replaced";
  if (machine.desired_state === "stopped") return "stopped";
  return machine.exit_code === undefined ? "ended" : `exited ${machine.exit_code}`;
}

/** By app, of one app the oldest first. */
export function inOrder(machines: readonly Machine[], nameOf: (machine: Machine) => string): readonly Machine[] {
  const key = (machine: Machine): readonly string[] => [
    nameOf(machine),
    machine.app_id,
    machine.created_at ?? "",
    machine.id,
  ];
  return [...machines].sort((a, b) => compare(key(a), key(b)));
}

export function machineRow(machine: Machine, app: string, now: number): readonly (string | Cell)[] {
  return [
    machine.id,
    app,
    machine.host_id ?? "-",
    { text: stateWord(machine), colour: statusCell(machine.state).colour },
    machine.ready ? "yes" : "no",
    shortDigest(machine.image),
    ageOf(machine.created_at, now),
    machine.reason ?? "",
  ];
}

function hasEnded({ state }: Machine): boolean {
  return state === "stopped" || state === "failed";
}

/** A daemon that does not say so yet says at least what it replaced. */
function isLeaving({ removing, replaced_by: replacedBy }: Machine): boolean {
  return removing ?? replacedBy !== undefined;
}

function compare(one: readonly string[], other: readonly string[]): number {
  const at = one.findIndex((text, index) => text !== other[index]);
  return at === -1 ? 0 : (one[at] ?? "") < (other[at] ?? "") ? -1 : 1;
}
