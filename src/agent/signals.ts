/** Sends signals to processes and groups that may have gone meanwhile. It knows no machine and no check. */
import { systemCode } from "../lib/errors.ts";

/**
 * To a process. What has gone needs no signal, and what is another user's (a check that ran sudo) may not be sent one.
 */
export function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemCode(error) !== "ESRCH" && systemCode(error) !== "EPERM") throw error;
  }
}

/** Kills a group by its leader; undefined where that was never started. */
export function killGroup(leader: number | undefined): void {
  if (leader !== undefined) sendSignal(-leader, "SIGKILL");
}
