/**
 * A thread that reads closed segments beside the traffic: makes a snapshot from the previous one, or verifies the whole
 * chain. It never sees the live state.
 */
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import { foldClosed } from "../journal/fold.ts";
import { writeSnapshot } from "../journal/snapshot.ts";
import { verifyJournal } from "../journal/verify.ts";
import { Replay } from "./store.ts";
import { State } from "./state.ts";

export interface JournalTask {
  readonly task: "snapshot" | "verify";
  readonly folder: string;
}

/** What the thread says, once. */
export type TaskAnswer = { readonly done: string } | { readonly nothing: true } | { readonly failed: string };

async function makeSnapshot(folder: string): Promise<TaskAnswer> {
  const state = new State();
  const head = await foldClosed(diskFiles, folder, new Replay(state));
  if (head === null) return { nothing: true };
  return {
    done: `snapshot ${await writeSnapshot(diskFiles, folder, head, state.lines())} made, up to seq ${head.seq}`,
  };
}

async function verify(folder: string): Promise<TaskAnswer> {
  let records = 0;
  for await (const progress of verifyJournal(diskFiles, folder)) records += progress.records;
  return { done: `the whole journal verified, ${records} lines` };
}

async function main(given: JournalTask): Promise<void> {
  let answer: TaskAnswer;
  try {
    answer = await (given.task === "snapshot" ? makeSnapshot(given.folder) : verify(given.folder));
  } catch (error) {
    answer = { failed: messageOf(error) };
  }
  parentPort?.postMessage(answer);
}

void main(workerData as JournalTask);
