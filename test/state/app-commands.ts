/** Random commands on apps, deployments and machines, each by the program's own decisions. */
import type { AppId, HostId, ImageDigest, MachineId, OrgId } from "../../src/lib/id-types.ts";
import { idOf } from "../support/ids.ts";
import { sinceAt } from "../support/rows.ts";
import { Allocations } from "../../src/fleet/allocations.ts";
import { decideExpired } from "../../src/fleet/expiry.ts";
import { nextStep } from "../../src/fleet/plan/next-step.ts";
import {
  decideApp,
  decideAppDeletion,
  decideDeployment,
  decideMachineDeletion,
  decideScale,
  decideStart,
  decideStop,
} from "../../src/fleet/workloads.ts";
import type { IdempotencyNote } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import type { Machine } from "../../src/state/types.ts";
import { START_WALL } from "../support/clock.ts";
import type { Command, Random } from "./workload.ts";
import { pick } from "./workload.ts";

const DAY_MS = 24 * 3600 * 1000;

function appId(random: Random): AppId {
  return idOf(`app_${random(2)}`);
}

function noteOf(random: Random): IdempotencyNote | null {
  return random(3) === 0 ? { key: `key-${random(4)}`, body_sum: `sum-${random(2)}` } : null;
}

/**
 * The first id that no machine bears, of those that the agents of this world report; one of its own when all are taken.
 */
function freeId(state: State, serial: number): MachineId {
  for (let i = 0; i < 12; i++) if (state.machines.find(`m-${i}`) === undefined) return idOf(`m-${i}`);
  return idOf(`m-extra-${serial}`);
}

/** What a decision on one of the machines comes to, where there is any. */
function onMachine(random: Random, decide: (state: State, machine: Machine) => ReturnType<Command>): Command {
  const place = random(12);
  return (state) => {
    const machine = state.machines.get([...state.machines.keys()].sort()[place % state.machines.size] ?? null);
    return machine === undefined ? null : decide(state, machine);
  };
}

/** The next step of an app, as the reconciler would take it. */
export const step: (random: Random, serial: number) => Command = (random, serial) => {
  const id = appId(random);
  const strategy = pick(random, ["spread", "pack"] as const);
  // Late enough now and then for deadlines, retries and streaks to have passed.
  const now = START_WALL + pick(random, [0, 60_000, 120_000, 900_000]);
  return (state) => {
    const app = state.apps.get(id);
    const allocations = new Allocations();
    const scene = {
      state,
      strategy,
      now,
      since: sinceAt(now),
      newMachineId: () => freeId(state, serial),
      allocated: (hostId: HostId) => allocations.of(state, hostId),
    };
    return app === undefined ? null : (nextStep(scene, app).events[0] ?? null);
  };
};

export const push: (random: Random) => Command = (random) => {
  const data = {
    digest: idOf<ImageDigest>(`sha256:${random(3)}`),
    size_bytes: 10,
    org_id: idOf<OrgId>(`o_${random(2)}`),
    app_id: pick(random, [null, "web", "api"]),
  };
  return () => ({ type: "image.added", data });
};

export const create: (random: Random) => Command = (random) => {
  const [id, org, name, note] = [appId(random), idOf<OrgId>(`o_${random(2)}`), `name-${random(3)}`, noteOf(random)];
  return (state) => (state.apps.get(id) === undefined ? decideApp(state, org, name, id, note) : null);
};

export const deploy: (random: Random, serial: number) => Command = (random, serial) => {
  const [id, replicas, note] = [appId(random), random(4), noteOf(random)];
  const workload = {
    cpus: 1 + random(3),
    memory_mb: 256,
    env: { A: String(random(2)) },
    region: pick(random, [null, null, "north"]),
    restart: pick(random, ["always", "on-failure", "never"] as const),
    check: pick(random, [null, { type: "tcp", port: 80 }]),
    on_host_loss: pick(random, ["replace", "wait"] as const),
    progress_deadline_seconds: pick(random, [30, 600]),
    min_healthy_seconds: pick(random, [0, 10]),
  };
  return (state) => {
    const app = state.apps.get(id);
    // The image is one that its org has, where it has any; the refusal of another is tested elsewhere.
    const image = [...state.imageRefs.values()].find((ref) => ref.org_id === app?.org_id)?.digest ?? idOf("sha256:0");
    return app === undefined
      ? null
      : decideDeployment(state, app, idOf(`dep_${serial}`), replicas, { ...workload, image }, note);
  };
};

export const stop: (random: Random) => Command = (random) => {
  const note = noteOf(random);
  return onMachine(random, (state, machine) => decideStop(state, machine, note));
};

export const start: (random: Random) => Command = (random) => {
  const note = noteOf(random);
  return onMachine(random, (state, machine) => decideStart(state, machine, note));
};

export const APP_COMMANDS: readonly ((random: Random, serial: number) => Command)[] = [
  create,

  (random) => {
    const [id, force] = [appId(random), random(2) === 0];
    return (state) => {
      const app = state.apps.get(id);
      return app === undefined ? null : decideAppDeletion(state, app, force);
    };
  },

  deploy,

  (random) => {
    const [id, replicas, note] = [appId(random), random(4), noteOf(random)];
    return (state) => {
      const app = state.apps.get(id);
      return app === undefined ? null : decideScale(state, app, replicas, note);
    };
  },

  stop,
  start,

  (random) => onMachine(random, (_state, machine) => decideMachineDeletion(machine)),

  // By the planner they come only where an app is looked at twice in a row.
  (random) =>
    onMachine(random, (_state, { id, app_id }) => ({ type: "machine.healthy", data: { app_id, machine_ids: [id] } })),

  (random) => {
    const now = START_WALL + DAY_MS + random(3) * 60_000;
    return (state) => decideExpired(state, now);
  },
];
