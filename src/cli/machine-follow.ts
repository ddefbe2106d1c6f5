/**
 * Follows machines that an operator has told to stop, start or go until they have: what was asked for is said to be
 * done only when their agents say so.
 */
import { ClientError } from "../client/errors.ts";
import type { ReceivedApp as App } from "../wire/apps.ts";
import { MACHINE } from "../wire/machines.ts";
import type { ReceivedMachine as Machine } from "../wire/machines.ts";
import type { Ending } from "./deploy-follow.ts";
import { machinesOf, machineText } from "./deploy-follow.ts";
import type { Following } from "./follow.ts";
import { newsIn } from "./follow.ts";
import { formatElapsed } from "./format.ts";
import { understand } from "./session.ts";

/** So long without any news and the command gives up; what was asked for stays asked. */
const PATIENCE_MS = 600_000;

export type Wish = "stop" | "start" | "rm";

export function machinePath(id: string, action = ""): string {
  return `/v1/machines/${encodeURIComponent(id)}${action === "" ? "" : `/${action}`}`;
}

/** Whether it holds its place on a host, or waits for one; what a silent host has cannot be asked for. */
export function isThere({ state }: Machine): boolean {
  return state === "pending" || state === "starting" || state === "running" || state === "stopping";
}

/** Gives the exit code. With --json the machine as it was seen last goes to stdout and the lines to stderr. */
export async function followMachine(following: Following, id: string, wish: Wish): Promise<number> {
  const { ending, body } = await following.untilInterrupted("", () => watch(following, id, wish));
  following.say(ending.text);
  if (following.session.json) following.session.printJson(body);
  return ending.code;
}

async function watch(
  following: Following,
  id: string,
  wish: Wish,
): Promise<{ readonly ending: Ending; readonly body: unknown }> {
  const started = following.now;
  let [said, saidAt] = ["", started];
  for (;;) {
    const body = await look(following, id);
    const machine = body === null ? null : understand(MACHINE, body);
    const ending = judge(wish, machine, formatElapsed(following.now - started));
    if (ending !== null) return { ending, body };
    const text = machine === null ? "" : machineText(machine);
    const news = newsIn(machine?.state ?? "", text);
    if (news !== said) {
      following.say(text);
      [said, saidAt] = [news, following.now];
    }
    const stillMs = following.now - saidAt;
    if (stillMs >= PATIENCE_MS)
      return {
        ending: { code: 1, text: `no news for ${formatElapsed(stillMs)}; what was asked for is still wanted` },
        body,
      };
    await following.rest();
  }
}

/** Null where there is no such machine any more. */
async function look(following: Following, id: string): Promise<unknown> {
  try {
    return (await following.ask("GET", machinePath(id))).body;
  } catch (error) {
    if (error instanceof ClientError && error.code === "machine_not_found") return null;
    throw error;
  }
}

function judge(wish: Wish, machine: Machine | null, after: string): Ending | null {
  if (machine === null)
    return wish === "rm"
      ? { code: 0, text: `deleted after ${after}` }
      : { code: 1, text: `deleted by somebody else after ${after}` };
  const hasEnded = machine.state === "stopped" || machine.state === "failed";
  const silent = `${machine.host_id ?? "its host"} is not heard`;
  switch (wish) {
    case "rm":
      if (hasEnded) return { code: 0, text: `deleted after ${after}` };
      return machine.state === "unknown"
        ? { code: 0, text: `deleted; ${silent}, and stops what runs of it when it is` }
        : null;
    case "stop":
      if (machine.desired_state !== "stopped")
        return { code: 1, text: `started again by somebody else after ${after}` };
      if (hasEnded)
        return { code: 0, text: `stopped after ${after}. "zwrm machines start ${machine.id}" brings it back` };
      return machine.state === "unknown"
        ? { code: 1, text: `it is to stop; ${silent}, and stops it when it is` }
        : null;
    case "start":
      if (machine.desired_state !== "running") return { code: 1, text: `stopped by somebody else after ${after}` };
      if (machine.state === "running" && machine.ready)
        return { code: 0, text: `${machineText(machine)} after ${after}` };
      return hasEnded
        ? { code: machine.state === "stopped" ? 0 : 1, text: `${machineText(machine)} after ${after}` }
        : null;
  }
}

/** Waits until none of a deleted app's machines is there any more. Gives the exit code. */
export async function followAppRemoval(following: Following, app: App): Promise<number> {
  const started = following.now;
  const ending = await following.untilInterrupted("", async (): Promise<Ending> => {
    let [left, movedAt] = [-1, started];
    for (;;) {
      const machines = (await machinesOf(following, app)).filter(isThere);
      if (machines.length === 0) return { code: 0, text: `deleted after ${formatElapsed(following.now - started)}` };
      if (machines.length !== left) {
        following.say(`${machines.length} ${machines.length === 1 ? "machine is" : "machines are"} still to stop`);
        [left, movedAt] = [machines.length, following.now];
      }
      const stillMs = following.now - movedAt;
      if (stillMs >= PATIENCE_MS)
        return {
          code: 1,
          text:
            `the app is deleted, but ${left} of its machines have not stopped, and none has for ` +
            `${formatElapsed(stillMs)}`,
        };
      await following.rest();
    }
  });
  following.say(ending.text);
  return ending.code;
}
