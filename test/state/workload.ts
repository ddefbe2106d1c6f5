/**
 * Random commands on a small world, by the program's own decisions where it has them: few ids, so that everything meets
 * everything.
 */
import { runningDrain } from "../../src/fleet/drain-terms.ts";
import { decideActivate, decideDrain, decideUndrain, planDrain } from "../../src/fleet/drain.ts";
import { decideHeard } from "../../src/fleet/heartbeat.ts";
import type { HostId, ImageDigest, MachineId, OrgId } from "../../src/lib/id-types.ts";
import type { ReportedMachine } from "../../src/wire/agents.ts";
import { decideLost, decideReplaceLost } from "../../src/fleet/liveness.ts";
import { decideDeregister, decideRegister, decideUnbindKey } from "../../src/fleet/registration.ts";
import { ApiError } from "../../src/lib/errors.ts";
import type { Event } from "../../src/state/events.ts";
import type { State } from "../../src/state/state.ts";
import { START_WALL } from "../support/clock.ts";
import { idOf, withIds } from "../support/ids.ts";
import { CALM, CAPACITY, CLUSTER, created, factsOf, sinceAt, specOf } from "../support/rows.ts";
import { APP_COMMANDS, create, deploy, push, start, step, stop } from "./app-commands.ts";

/** A whole number from 0 up to, not including, the argument. */
export type Random = (below: number) => number;
/** A command: what it comes to on a state. Refusals are null here; they change nothing either. */
export type Command = (state: State) => Event | null;

const KEYS = [null, "k".repeat(32), "l".repeat(32)] as const;
const STATES: readonly ReportedMachine["state"][] = ["starting", "running", "stopping", "stopped", "failed"];

export function pick<T>(random: Random, values: readonly T[]): T {
  // The index is one of the list's own.
  return values[random(values.length)] as T;
}

function hostId(random: Random): HostId {
  return idOf(`h-${random(6)}`);
}

/** The key that the host is bound to is not known to the state; half of the tries are right. */
function key(random: Random): string | null {
  return KEYS[random(KEYS.length)] ?? null;
}

/** Starts a drain, or gives it new terms. */
const drain: (random: Random) => Command = (random) => {
  const id = hostId(random);
  const request = {
    max_parallel: pick(random, [undefined, 3]),
    deadline_seconds: pick(random, [undefined, 60]),
    reason: pick(random, [undefined, "disk"]),
    force: pick(random, [undefined, true]),
  };
  return (state) => decideDrain(state, id, request, START_WALL);
};

const COMMANDS: readonly ((random: Random, serial: number) => Command)[] = [
  () => (state) => (state.cluster.size === 0 ? CLUSTER : null),

  (random) => {
    const id = hostId(random);
    const facts = factsOf(id, {
      region: pick(random, ["default", "north"]),
      agent_version: pick(random, [null, "1.0.0"]),
      labels: { [`k${random(2)}`]: String(random(2)) },
    });
    const registration = { host_id: id, facts, capacity: { ...CAPACITY, cpus: 4 + random(2) }, key: key(random) };
    return (state) => decideRegister(state, registration);
  },

  (random) => {
    const id = hostId(random);
    const machines = Array.from({ length: random(4) }, () => ({
      place: random(12),
      state: pick(random, STATES),
      started_at: undefined,
      reason: pick(random, [undefined, "oom"]),
      exit_code: pick(random, [undefined, 1]),
      ready: pick(random, [undefined, true, false]),
      fault: pick(random, [undefined, "host"] as const),
    }));
    const [sent, silent, current, strange] = [key(random), random(3) === 0, random(3) === 0, random(3) === 0];
    return (state) => {
      const host = state.hosts.get(id);
      const own = strange
        ? []
        : state.machines
            .group(id)
            .map((machine) => machine.id)
            .sort();
      const reports = machines.map(({ place, ...rest }) => ({
        ...rest,
        id: own[place % own.length] ?? idOf<MachineId>(`m-${place}`),
      }));
      return host === undefined
        ? null
        : decideHeard(state, host, { key: sent, machines: silent ? undefined : reports, current });
    };
  },

  (random) => {
    const silent = new Set(Array.from({ length: 5 }, () => hostId(random)));
    const recent = new Set([hostId(random)]);
    // Hosts with a machine are few here: how many make a storm, liveness.test.ts asks.
    const isStorm = silent.size > 3;
    return (state) => {
      const event = decideLost(state, (id) => silent.has(id), recent, CALM);
      if (event === null || !isStorm) return event;
      return { ...event, data: { ...event.data, held_host_ids: event.data.host_ids } };
    };
  },

  () => (state) => decideReplaceLost(state),

  (random) => {
    const id = hostId(random);
    const sent = key(random);
    const reason = pick(random, [null, "gone"]);
    return (state) => decideDeregister(state, id, sent, reason);
  },

  (random) => {
    const id = hostId(random);
    return (state) => decideUnbindKey(state, id);
  },

  drain,

  (random) => {
    const id = hostId(random);
    return (state) => decideUndrain(state, id);
  },

  (random) => {
    const id = hostId(random);
    return (state) => decideActivate(state, id);
  },

  (random) => {
    const id = hostId(random);
    const reported = pick(random, [null, 0, 1]);
    const now = START_WALL + random(3) * 100_000;
    return (state) => {
      const host = state.hosts.get(id);
      const drain = runningDrain(state, id);
      return host === undefined || drain === null ? null : planDrain(state, host, drain, reported, sinceAt(now));
    };
  },

  (random, serial) => {
    const spec = specOf(`m-${serial % 12}`, { org_id: `o_${random(3)}` });
    const on = pick(random, [null, hostId(random)]);
    const replaces = pick(random, [null, `m-${random(12)}`]);
    return (state) => (on === null || state.hosts.get(on) !== undefined ? created(spec, on, replaces) : null);
  },

  push,

  (random) => {
    const data = { digest: idOf<ImageDigest>(`sha256:${random(3)}`), org_id: idOf<OrgId>(`o_${random(3)}`) };
    return () => ({ type: "image.removed", data });
  },

  (random) => {
    const id = hostId(random);
    return (state) =>
      state.hosts.get(id) === undefined
        ? null
        : { type: "host.id_conflict", data: { host_id: id, boot_ids: ["a", "b"] } };
  },

  ...APP_COMMANDS,

  ...personal(),
];

/** Orgs, users and what they hold. */
function personal(): ((random: Random, serial: number) => Command)[] {
  const userId = (random: Random): string => `u_${random(3)}`;
  const orgId = (random: Random): string => `o_${random(3)}`;
  const password = (random: Random): { n: number; r: number; p: number; salt: string; hash: string } => ({
    n: 16_384,
    r: 8,
    p: 1,
    salt: "s",
    hash: `p${random(9)}`,
  });
  const just =
    (event: Event): Command =>
    () =>
      event;
  return [
    (random) => {
      const id = orgId(random);
      return just(withIds({ type: "org.created", data: { org: { id, slug: id, name: `Org ${random(3)}` } } }));
    },
    (random) => {
      const limits = random(3) === 0 ? {} : { apps: random(5), env_bytes: random(9) };
      return just({ type: "org.quota_set", data: { org_id: idOf(orgId(random)), limits } });
    },
    (random) => {
      const id = userId(random);
      const user = {
        id,
        email: `${id}@example.com`,
        name: id,
        host_admin: random(2) === 0,
        password: password(random),
      };
      return just(withIds({ type: "user.created", data: { user, org_id: pick(random, [null, orgId(random)]) } }));
    },
    (random) =>
      just(
        withIds({
          type: "user.password_set",
          data: { user_id: userId(random), password: password(random), same_password: random(2) === 0 },
        }),
      ),
    (random) => just(withIds({ type: "user.removed", data: { user_id: userId(random) } })),
    (random) =>
      just(
        withIds({
          type: "member.set",
          data: { org_id: orgId(random), user_id: userId(random), role: pick(random, ["owner", "member"]) },
        }),
      ),
    (random) => just(withIds({ type: "member.removed", data: { org_id: orgId(random), user_id: userId(random) } })),
    (random) => {
      const session = {
        id: `s_${random(4)}`,
        token_hash: `t${random(4)}`,
        user_id: userId(random),
        org_id: orgId(random),
        expires_at: "2026-02-01T00:00:00.000Z",
      };
      return just(withIds({ type: "session.created", data: { session, expired: [`t${random(4)}`] } }));
    },
    (random) =>
      just({
        type: "session.renewed",
        data: { token_hash: `t${random(4)}`, expires_at: `2026-03-0${1 + random(9)}T00:00:00.000Z` },
      }),
    (random) => just(withIds({ type: "session.ended", data: { id: "s", token_hash: `t${random(4)}` } })),
    (random) => {
      const scopes = pick(random, [null, ["admin"] as const]);
      const apiKey = {
        id: `k_${random(4)}`,
        token_hash: `a${random(4)}`,
        name: "ci",
        user_id: userId(random),
        org_id: orgId(random),
        scopes,
        expires_at: null,
      };
      return just(withIds({ type: "api_key.created", data: { key: apiKey } }));
    },
    (random) => just(withIds({ type: "api_key.revoked", data: { id: "k", token_hash: `a${random(4)}` } })),
  ];
}

/** Most sequences begin with hosts and an app, so that there is something to work on from the start. */
const OPENING = [COMMANDS[0], COMMANDS[1], COMMANDS[1], COMMANDS[1], push, create, deploy, deploy, step, step] as const;

const [, register, hear, lose, replaceLost, , , , , activate, advance, place] = COMMANDS;
const BUSY = [
  register,
  hear,
  hear,
  hear,
  lose,
  replaceLost,
  drain,
  activate,
  advance,
  advance,
  advance,
  place,
  deploy,
  step,
  step,
  step,
  step,
  step,
  step,
  stop,
  start,
] as const;

/** The next command. Registrations, reports, machines and the steps of apps come oftener, for the same reason. */
export function randomCommand(random: Random, serial: number): Command {
  const opening = random(8) === 0 ? undefined : OPENING[serial];
  const make = opening ?? pick(random, random(8) < 5 ? BUSY : COMMANDS);
  if (make === undefined) throw new Error("there are as many commands");
  const command = make(random, serial);
  return (state) => {
    try {
      return command(state);
    } catch (error) {
      if (error instanceof ApiError) return null;
      throw error;
    }
  };
}
