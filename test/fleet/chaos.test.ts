/**
 * Whatever happens to apps and hosts, in any order: the plan comes to rest, no host is asked for more than it has, and
 * in the end every replica runs once.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { decideStart, decideStop } from "../../src/fleet/workloads.ts";
import { toRfc3339 } from "../../src/lib/clock.ts";
import { ApiError } from "../../src/lib/errors.ts";
import { holdsCapacity } from "../../src/state/workload-reducers.ts";
import { idOf } from "../support/ids.ts";
import { random } from "../support/random.ts";
import { APP, Stage } from "./stage.ts";
import type { Fate } from "./stage.ts";

const SEEDS = Number(process.env["ZWRM_CHAOS_SEEDS"] ?? 150);
const TICKS = 120;
const HOSTS = ["h-1", "h-2", "h-3", "h-4", "h-5"];
const APPS = [APP, "api"];
const FATES: readonly Fate[] = ["runs", "runs", "runs", "runs", "runs", "fails", "hangs", "unready"];

function hashOf(text: string): number {
  return [...text].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0, 7);
}

class Chaos {
  readonly stage = new Stage();
  readonly #random: (below: number) => number;
  #deployments = 0;
  #calm = false;

  /**
   * Half of the lives are short of room until a last small deployment; the others have room, and end with what they
   * came to.
   */
  readonly #short: boolean;

  constructor(seed: number) {
    this.#random = random(seed);
    this.#short = seed % 2 === 0;
    for (const id of HOSTS)
      this.stage.host(id, {
        capacity: { cpus: this.#short ? 4 + this.#random(4) : 9 },
        datacenter: `dc-${this.#random(2)}`,
      });
    this.stage.fate = (machine) =>
      this.#calm ? "runs" : (FATES[hashOf(`${seed}${machine.id}`) % FATES.length] ?? "runs");
    // Some agents are slow to hear and to tell, all the time.
    const slow = HOSTS[this.#random(HOSTS.length)];
    this.stage.isLate = (id) => !this.#calm && this.#random(id === slow ? 2 : 12) === 0;
    for (const app of APPS) this.#deploy(app);
  }

  #deploy(app = this.#app()): void {
    const wait = this.#random(6) === 0 ? "wait" : "replace";
    const region = this.#short && this.#random(8) === 0 ? "nowhere" : null;
    this.stage.deploy(
      `dep_${++this.#deployments}`,
      this.#random(7),
      { cpus: 1 + this.#random(2), on_host_loss: wait, region, progress_deadline_seconds: 20 },
      app,
    );
  }

  #app(): string {
    return APPS[this.#random(APPS.length)] ?? APP;
  }

  #pick(): string {
    return HOSTS[this.#random(HOSTS.length)] ?? "";
  }

  act(): void {
    const { stage } = this;
    const { state } = stage;
    const id = this.#pick();
    const host = state.hosts.get(idOf(id));
    const machines = state.machinesOf(idOf(this.#app()));
    const machine = machines[this.#random(Math.max(1, machines.length))];
    switch (this.#random(14)) {
      case 0:
        return this.#deploy();
      case 1:
        return void stage.scale(this.#random(7), state.apps.get(idOf(this.#app()))?.deployment_id ?? "");
      case 2:
        return void (host?.mode === "active" && stage.drain(id, this.#terms()));
      case 3:
        return void (host?.mode === "draining" && stage.undrain(id));
      case 4:
        return void (host?.mode === "maintenance" && stage.do({ type: "host.activated", data: { host_id: id } }));
      case 5:
        return void (host?.health === "online" && (this.#random(4) === 0 ? stage.loseInStorm(id) : stage.lose(id)));
      case 6:
      case 7:
        return void stage.find(id);
      case 8:
        return void (
          machine !== undefined &&
          !machine.removing &&
          stage.do({ type: "machine.removed", data: { machine_ids: [machine.id], reason: "deleted" } })
        );
      case 9:
      case 10:
        return this.#asked(() =>
          machine === undefined
            ? null
            : this.#random(2) === 0
              ? decideStop(state, machine, null)
              : decideStart(state, machine, null),
        );
      case 11:
        return void (
          host !== undefined &&
          stage.silent.has(id) &&
          stage.do({ type: "host.deregistered", data: { host_id: id, reason: null } })
        );
      case 12:
        return void (host === undefined && stage.find(id).host(id));
      default:
        return void stage.do({
          type: "host.replacement_allowed",
          data: { host_ids: [...HOSTS].filter((other) => state.hosts.get(idOf(other))?.replacement_held === true) },
        });
    }
  }

  #terms(): Parameters<Stage["drain"]>[1] {
    const deadline = this.#random(3) === 0 ? toRfc3339(this.stage.now + this.#random(15) * 1_000) : null;
    return { max_parallel: 1 + this.#random(3), deadline_at: deadline, force: this.#random(2) === 0 };
  }

  #asked(decide: () => ReturnType<typeof decideStop>): void {
    try {
      const event = decide();
      if (event !== null) this.stage.do(event);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /**
   * All trouble is over: every host is there and active, every machine runs when started, nobody keeps one stopped, and
   * there is room.
   */
  calm(): void {
    const { stage } = this;
    const { state } = stage;
    this.#calm = true;
    if (this.#short) for (const app of APPS) this.stage.deploy(`dep_last_${app}`, 3, {}, app);
    for (const id of HOSTS) {
      stage.find(id);
      const host = state.hosts.get(idOf(id));
      if (host === undefined) stage.host(id);
      else if (host.mode === "draining") stage.undrain(id);
      if (state.hosts.get(idOf(id))?.mode === "maintenance")
        stage.do({ type: "host.activated", data: { host_id: id } });
    }
    stage.ticks(60);
    for (const machine of state.machines.values())
      if (machine.desired_state === "stopped" && !machine.removing)
        this.#asked(() => decideStart(state, machine, null));
    // Longer than the longest streak, in steps short enough for every retry.
    stage.ticks(60, 10_000);
  }
}

function assertCapacity({ state }: Stage, why: string): void {
  for (const host of state.hosts.values()) {
    const cpus = state.machines
      .group(host.id)
      .filter(holdsCapacity)
      .reduce((sum, machine) => sum + machine.cpus, 0);
    assert.ok(cpus <= host.capacity.cpus, `${why}: ${host.id} has ${host.capacity.cpus} cpus and is asked for ${cpus}`);
  }
}

function assertWhole(stage: Stage, app: string): void {
  const target = stage.deployment(stage.state.apps.get(idOf(app))?.deployment_id ?? "");
  const members = stage.state.machinesOf(idOf(app)).filter(({ removing }) => !removing);
  assert.equal(stage.ready(app).length, target.replicas, `ready of ${target.id}: ${JSON.stringify(members)}`);
  assert.equal(stage.running(app).length, target.replicas, `nothing else runs of ${app}`);
  assert.ok(
    members.every((machine) => machine.deployment_id === target.id && machine.state === "running"),
    JSON.stringify(members),
  );
  assert.equal(target.state, "completed");
}

test(
  `${SEEDS} random lives of an app come to rest at every step, never ask a host for more than it has, ` +
    "and end with every replica running once",
  () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const chaos = new Chaos(seed);
      const { stage } = chaos;
      try {
        for (let tick = 0; tick < TICKS; tick++) {
          chaos.act();
          stage.tick();
          assertCapacity(stage, `tick ${tick}`);
        }
        chaos.calm();
        assertCapacity(stage, "calm");
        for (const app of APPS) assertWhole(stage, app);
        const events = stage.events.length;
        stage.ticks(30, 10_000);
        assert.equal(
          stage.events.length,
          events,
          `at rest nothing is written: ${JSON.stringify(stage.events.slice(events, events + 4))}`,
        );
      } catch (error) {
        throw new Error(
          `seed ${seed} (ZWRM_CHAOS_SEEDS=${seed} ends with it): ` +
            `${error instanceof Error ? error.message : String(error)}`,
          { cause: error },
        );
      }
    }
  },
);
