/** What the plan of an app is made from. */
import type { MachineId } from "../../lib/id-types.ts";
import type { Scene } from "../placement.ts";

export interface PlanScene extends Scene {
  /** Wall time in milliseconds, to be shown; how long ago something was, `since` says. */
  readonly now: number;
  newMachineId(): MachineId;
}
