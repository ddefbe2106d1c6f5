/**
 * A cgroup for each machine, below the agent's own, where the kernel has cgroup v2 and the agent may make one:
 * whatever a machine's processes do, they and all that they begin stay in it. It limits nothing, and where there is
 * none, processes.ts does without.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../lib/ids.ts";

/** Enough of a hash to tell the agents of one host apart. */
const HASH_CHARACTERS = 12;

export class MachineCgroups {
  /** Null where there can be none. */
  readonly #base: string | null;
  readonly #prefix: string;

  /** `base` is the cgroup that this process is in. */
  constructor(machinesDir: string, base: string | null = ownCgroup()) {
    this.#base = base;
    this.#prefix = `zwrm-${sha256Hex(machinesDir).slice(0, HASH_CHARACTERS)}-`;
  }

  /** Makes that of a machine; null where it may not be made. */
  make(id: string): string | null {
    if (this.#base === null) return null;
    const path = join(this.#base, this.#prefix + id);
    try {
      mkdirSync(path, { recursive: true });
      return path;
    } catch {
      return null;
    }
  }

  /**
   * Those that a machine's processes may be in: where this agent makes them, where an earlier one noted it, and where
   * its first process is. One that this very process is in is never among them: it was started out of that machine.
   */
  of(id: string, noted: string | null, pid: number | null): string[] {
    const own = `${ownCgroup() ?? ""}/`;
    const found = [
      this.#base === null ? null : join(this.#base, this.#prefix + id),
      noted,
      pid === null ? null : cgroupOf(String(pid)),
    ];
    const paths = found
      .filter((path) => path !== null)
      .filter((path) => path.endsWith(`/${this.#prefix}${id}`) && !own.startsWith(`${path}/`));
    return [...new Set(paths)];
  }

  /**
   * The machines that something runs of in theirs. Those that are empty are removed: they ended while no agent was
   * there.
   */
  populated(): string[] {
    const base = this.#base;
    if (base === null) return [];
    const names = foldersIn(base).filter((name) => name.startsWith(this.#prefix));
    return names.flatMap((name) => {
      if (processesIn(join(base, name)).length > 0) return [name.slice(this.#prefix.length)];
      removeCgroup(join(base, name));
      return [];
    });
  }
}

/** The processes in a cgroup and in those below it; none where it is gone. */
export function processesIn(cgroup: string): number[] {
  try {
    const own = readFileSync(join(cgroup, "cgroup.procs"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
    return [...own, ...foldersIn(cgroup).flatMap((name) => processesIn(join(cgroup, name)))];
  } catch {
    return [];
  }
}

/** Ends all that is in it at once, forks under way included; does nothing on a kernel before 5.14. */
export function killCgroup(cgroup: string): void {
  try {
    writeFileSync(join(cgroup, "cgroup.kill"), "1", { flag: "r+" });
  } catch {
    // Each process is killed by itself then.
  }
}

/** Removes it where nothing is in it any more. */
export function removeCgroup(cgroup: string): void {
  for (const name of foldersIn(cgroup)) removeCgroup(join(cgroup, name));
  try {
    rmdirSync(cgroup);
  } catch {
    // Something is in it, or it has gone.
  }
}

function ownCgroup(): string | null {
  return cgroupOf("self");
}

/**
 * The path of a process's cgroup v2 in the file system; null where there is none, or it lies outside of what this
 * process sees.
 */
function cgroupOf(pid: string): string | null {
  try {
    const [, path = ""] = /^0::(\/.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? [];
    // proc(5): id, parent, device, root, mount point, options, optional fields, "-", type.
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" "));
    const [, , , root, point] = mounts.find((fields) => fields[fields.indexOf("-") + 1] === "cgroup2") ?? [];
    if (path === "" || point === undefined || root === undefined || path.split("/").includes("..")) return null;
    // A container sees a part of the tree only, and may see its own path as the host does.
    const top = root === "/" ? "" : root;
    return `${path}/`.startsWith(`${top}/`) ? join(point, path.slice(top.length)) : null;
  } catch {
    return null;
  }
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
