/**
 * One agent a state folder: a lock that the kernel holds for the open file and lets go with the process. Machines do
 * not inherit it.
 */
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";

const HELD = 75;

/**
 * Takes the lock until the process ends. Throws an Error with a sentence. Node has no flock(2), so flock(1) of
 * util-linux takes it on our descriptor.
 */
export function lockStateDir(folder: string): void {
  const path = join(folder, "lock");
  const fd = openSync(path, "a+", 0o600);
  const flock = spawnSync("flock", ["-n", "-E", String(HELD), "3"], {
    stdio: ["ignore", "ignore", "ignore", fd],
    timeout: 10_000,
  });
  if (flock.status === 0) {
    ftruncateSync(fd, 0);
    writeSync(fd, `${process.pid}\n`);
    return;
  }
  closeSync(fd);
  if (flock.status !== HELD) {
    const ended = `exited with ${flock.status ?? flock.signal ?? "nothing"}`;
    const why = flock.error === undefined ? ended : messageOf(flock.error);
    throw new Error(`${path} cannot be locked: flock of util-linux ${why}`);
  }
  const holder = readFileSync(path, "utf8").trim();
  throw new Error(
    `another zwrm-agent uses ${folder}${holder === "" ? "" : ` (process ${holder})`}: stop it, or give this ` +
      "one another state_dir and host_id",
  );
}
