/**
 * The life of a machine on this host, as one table: its state and what happens go in, its next state and what is to be
 * done come out. Pure: which steps are taken, and when, reconcile.ts says; what each cell makes of a machine is in
 * transition-cells.ts; machine-work.ts does what is to be done.
 *
 *               launch           pulled            started
 *     waiting ──────────> pulling ──────> starting ──────────> running ──┐
 *      ^   │               │   │           │   │                │   │ ^  │ checked
 *      │   │ stop          │   │ stop      │   │ stop           │   │ └──┘
 *      │   v               │   v           │   v                │   v stop
 *      │  stopped <────────│───┘           │  cancelling ───────│─> stopping ──┐
 *      │   ^   ^           │               │   │       started  │   │    ^     │ kill: its grace is over
 *      │   │   └───────────│───────────────│───┘ not started    │   │    └─────┘
 *      │   └───────────────│───────────────│────────────────────│───┘ exited
 *      │                   │ not started   │ not started        │ exited
 *      │   another try     v               v                    v
 *      └──────────────────────────────────────────────────────────> stopped: it ended as it should
 *          after back-off                                         > failed: given up
 *
 *     waiting, stopped, failed: forget ──> gone, record and all. Stopped and failed: created anew, as waiting.
 *
 * What an earlier agent had started is starting, or cancelling, until it has been looked for: then it has started, or
 * exited.
 */
import type { Events, EventType, MachineEvent, Moment, Outcome } from "./machine-events.ts";
import type { MachineState, States } from "./machine.ts";
import type { Phase } from "./reconcile.ts";
import {
  cancelling,
  checked,
  ended,
  endedUnseen,
  gone,
  ignored,
  killed,
  launching,
  notStarted,
  pulling,
  running,
  starting,
  stopped,
  stoppedAsAsked,
  stoppedInTime,
  stopping,
  stoppingAtOnce,
} from "./transition-cells.ts";

type Cell<P extends Phase, E extends EventType> = (before: States[P], event: Events[E], moment: Moment) => Outcome;
type Row<P extends Phase> = { readonly [E in EventType]: Cell<P, E> };
type Table = { readonly [P in Phase]: Row<P> };

/** Where nothing of it is under way, no outcome can come but a late one. */
const LATE = {
  pulled: ignored,
  prepared: ignored,
  started: ignored,
  not_started: ignored,
  exited: ignored,
  checked: ignored,
};

export const TABLE: Table = {
  waiting: { ...LATE, launch: pulling, stop: stopped, kill: ignored, forget: gone },
  pulling: {
    launch: ignored,
    stop: stopped,
    kill: ignored,
    forget: ignored,
    pulled: starting,
    prepared: ignored,
    started: ignored,
    not_started: notStarted,
    exited: ignored,
    checked: ignored,
  },
  starting: {
    launch: ignored,
    stop: cancelling,
    kill: ignored,
    forget: ignored,
    pulled: ignored,
    prepared: launching,
    started: running,
    not_started: notStarted,
    exited: endedUnseen,
    checked: ignored,
  },
  running: {
    launch: ignored,
    stop: stopping,
    kill: ignored,
    forget: ignored,
    pulled: ignored,
    prepared: ignored,
    started: ignored,
    not_started: ignored,
    exited: ended,
    checked: checked,
  },
  cancelling: {
    launch: ignored,
    stop: ignored,
    kill: ignored,
    forget: ignored,
    pulled: ignored,
    prepared: stoppedInTime,
    started: stoppingAtOnce,
    not_started: stoppedInTime,
    exited: stoppedAsAsked,
    checked: ignored,
  },
  stopping: {
    launch: ignored,
    stop: ignored,
    kill: killed,
    forget: ignored,
    pulled: ignored,
    prepared: ignored,
    started: ignored,
    not_started: ignored,
    exited: stoppedAsAsked,
    checked: ignored,
  },
  stopped: { ...LATE, launch: ignored, stop: ignored, kill: ignored, forget: gone },
  failed: { ...LATE, launch: ignored, stop: ignored, kill: ignored, forget: gone },
};

/** What an event makes of a machine, and what is to be done then. Total: every event has its cell in every state. */
export function next(before: MachineState, event: MachineEvent, moment: Moment): Outcome {
  return inCell(before.phase, event.type, before, event, moment);
}

function inCell<P extends Phase, E extends EventType>(
  phase: P,
  type: E,
  before: States[P],
  event: Events[E],
  moment: Moment,
): Outcome {
  const row: Row<P> = TABLE[phase];
  return row[type](before, event, moment);
}
