/**
 * One agent a state folder: a lock that the kernel holds for the open file and lets go with the process. Machines do
 * not inherit it.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { flock } from "../lib/flock.ts";

/** Takes the lock until the process ends. Throws an Error with a sentence. */
export function lockStateDir(folder: string): void {
  const path = join(folder, "lock");
  const fd = openSync(path, "a+", 0o600);
  let taken = false;
  try {
    taken = flock(fd, path);
  } finally {
    if (!taken) closeSync(fd);
  }
  if (taken) {
    ftruncateSync(fd, 0);
    writeSync(fd, `${process.pid}\n`);
    return;
  }
  const holder = readFileSync(path, "utf8").trim();
  throw new Error(
    `another zwrm-agent uses ${folder}${holder === "" ? "" : ` (process ${holder})`}: stop it, or give this ` +
      "one another state_dir and host_id",
  );
}
