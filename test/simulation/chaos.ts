/**
 * What befalls a simulated world, and what its people do meanwhile: one act at a time, each by seeded chance. It checks
 * nothing.
 */
import type { AppId } from "../../src/lib/id-types.ts";
import { idOf } from "../support/ids.ts";
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";
import type { Commands } from "./commands.ts";
import type { Control } from "./control.ts";
import type { SimHost } from "./host.ts";
import { BAD } from "./images.ts";
import type { Direction, Network } from "./network.ts";
import { FAIR } from "./network.ts";
import type { Trace } from "./trace.ts";

export interface Scene {
  readonly time: SimClock;
  readonly network: Network;
  readonly control: Control;
  readonly commands: Commands;
  readonly hosts: readonly SimHost[];
  readonly trace: Trace;
}

type Acts = readonly (readonly [weight: number, act: () => void])[];

/**
 * Every so often, on average: something great; something small to each host, within bounds for very small and very
 * large fleets.
 */
const GREAT_MS = 60_000;
const SMALL_MS = 1_200_000;
const [LEAST_MS, MOST_MS] = [2_000, 12_000];

const BOTH: readonly Direction[] = ["up", "down"];
const WAYS: readonly (readonly Direction[])[] = [BOTH, BOTH, ["up"], ["down"]];

export class Chaos {
  readonly #scene: Scene;
  readonly #chance: Chance;
  /** What has to be put right when it is over. */
  readonly #remedies = new Set<() => void>();
  /** What befalls everyone at once; and what befalls or is asked of one, which is the more often the more there are. */
  readonly #great: Acts;
  readonly #small: Acts;
  #over = false;

  constructor(scene: Scene, chance: Chance) {
    this.#scene = scene;
    this.#chance = chance;
    this.#great = [
      [2, () => this.#cutSwitch()],
      [4, () => this.#storms()],
      [3, () => this.#restartDaemon()],
      [1, () => this.#pauseDaemon()],
      [1, () => this.#fillDisk()],
      [1, () => this.#breakDisk()],
    ];
    this.#small = [
      [6, () => this.#cutOne()],
      [6, () => this.#restartAgent()],
      [3, () => this.#failPower()],
      [2, () => this.#leave()],
      [8, () => this.#drain()],
      [6, () => this.#bringBack()],
      [3, () => this.#deploy()],
      [3, () => this.#scale()],
      [1, () => this.#deleteApp()],
      [3, () => this.#touchMachine()],
    ];
  }

  /** Until `finish`. */
  start(): void {
    this.#repeat(GREAT_MS, this.#great);
    this.#repeat(Math.max(LEAST_MS, Math.min(MOST_MS, SMALL_MS / this.#scene.hosts.length)), this.#small);
  }

  #repeat(meanMs: number, acts: Acts): void {
    this.#scene.time.after(this.#chance.delay(meanMs), () => {
      if (this.#over) return;
      this.#act(acts);
      this.#repeat(meanMs, acts);
    });
  }

  /** All ways are open, everything runs, nobody is held back, and nothing is asked for that cannot run. */
  finish(): void {
    this.#over = true;
    const { control, hosts, commands, network, time } = this.#scene;
    for (const remedy of [...this.#remedies]) remedy();
    network.weather = FAIR;
    control.start();
    for (const host of hosts) if (!host.hasLeft) host.start();
    this.#disturbAll();
    const runsBad = (appId: AppId): boolean =>
      BAD.includes(control.state?.deployments.get(control.state.apps.get(appId)?.deployment_id ?? null)?.image ?? "");
    for (const app of [...commands.apps.values()]) if (runsBad(idOf(app.id))) this.#do(() => commands.deleteApp(app));
    // Again when whoever was silent is heard or given up.
    for (const ms of [1_000, 60_000])
      time.after(ms, () => this.#do(() => commands.ask("POST", "/v1/hosts/replace-lost", {})));
    for (const host of control.state?.hosts.values() ?? []) {
      if (this.#chance.is(0.7))
        this.#do(() =>
          host.mode === "maintenance"
            ? commands.activate(host.id)
            : host.mode === "draining"
              ? commands.undrain(host.id)
              : Promise.resolve(),
        );
    }
  }

  #act(acts: Acts): void {
    let at = this.#chance.below(acts.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of acts) {
      if (at < weight) return act();
      at -= weight;
    }
  }

  /** Does something now and undoes it later, at the latest when it is all over. */
  #for(ms: number, undo: () => void): void {
    const remedy = (): void => {
      if (this.#remedies.delete(remedy)) undo();
    };
    this.#remedies.add(remedy);
    this.#scene.time.after(ms, remedy);
  }

  #do(work: () => Promise<unknown>): void {
    work().catch((error: unknown) => this.#scene.time.fail(error));
  }

  #host(): SimHost {
    const host = this.#chance.pick(this.#scene.hosts);
    if (host === undefined) throw new Error("a world without hosts");
    return host;
  }

  #disturbAll(): void {
    for (const host of this.#scene.hosts) host.disturb();
  }

  #cut(hosts: readonly SimHost[], directions: readonly Direction[], ms: number): void {
    const { network, trace } = this.#scene;
    const ids = hosts.map(({ id }) => id);
    const way = directions.join(" and ");
    for (const id of ids) trace.note(id, `is cut off ${way}`);
    const mend = network.cut(ids, directions);
    for (const host of hosts) host.disturb();
    this.#for(ms, () => {
      mend();
      for (const host of hosts) host.disturb();
      for (const id of ids) trace.note(id, `is cut off ${way} no more`);
    });
  }

  #cutOne(): void {
    this.#cut([this.#host()], this.#chance.pick(WAYS) ?? BOTH, this.#chance.between(1_000, 150_000));
  }

  /** A switch fails: a part of the fleet, at times more than a third, is silent at once. */
  #cutSwitch(): void {
    const { hosts, time, commands } = this.#scene;
    const share = this.#chance.between(0.05, 0.6);
    this.#cut(this.#chance.some(hosts, Math.ceil(share * hosts.length)), BOTH, this.#chance.between(10_000, 200_000));
    if (this.#chance.is(0.3))
      time.after(this.#chance.between(60_000, 180_000), () =>
        this.#do(() => commands.ask("POST", "/v1/hosts/replace-lost", {})),
      );
  }

  #storms(): void {
    const { network } = this.#scene;
    const chance = this.#chance;
    network.weather = {
      loss: chance.between(0, 0.15),
      duplication: chance.between(0, 0.1),
      delayMs: chance.between(1, 300),
      spikes: chance.between(0, 0.1),
    };
    this.#disturbAll();
    this.#for(chance.between(5_000, 60_000), () => {
      network.weather = FAIR;
      this.#disturbAll();
    });
  }

  #restartAgent(): void {
    const host = this.#host();
    host.stop();
    this.#for(this.#chance.is(0.7) ? this.#chance.between(100, 5_000) : this.#chance.between(5_000, 120_000), () =>
      host.start(),
    );
  }

  #failPower(): void {
    const host = this.#host();
    host.reboot();
    this.#for(this.#chance.between(10_000, 180_000), () => host.start());
  }

  /** The host leaves the list, and comes back as if it were new, or never. */
  #leave(): void {
    const host = this.#host();
    const isForGood = this.#chance.is(0.2);
    this.#do(() => host.leave());
    this.#for(this.#chance.between(20_000, 180_000), () => {
      if (isForGood && host.hasLeft && !host.isUp) return;
      // One that could not leave in time has not ended yet.
      host.stop();
      host.start();
    });
  }

  #pauseDaemon(): void {
    const { control, time } = this.#scene;
    const ms = this.#chance.is(0.7) ? this.#chance.between(500, 10_000) : this.#chance.between(10_000, 90_000);
    control.pause(ms);
    this.#disturbAll();
    time.after(ms + 1, () => this.#disturbAll());
  }

  #fillDisk(): void {
    const makeRoom = this.#scene.control.fillDisk();
    this.#disturbAll();
    this.#for(this.#chance.between(1_000, 60_000), () => {
      makeRoom();
      this.#disturbAll();
    });
  }

  /** Until somebody restarts the daemon, nothing can be changed. */
  #breakDisk(): void {
    const { control } = this.#scene;
    control.breakDisk();
    this.#disturbAll();
    this.#for(this.#chance.between(1_000, 60_000), () => {
      control.kill();
      control.start();
      this.#disturbAll();
    });
  }

  #restartDaemon(): void {
    const { control } = this.#scene;
    if (!control.isUp) return;
    if (this.#chance.is(0.7)) control.kill();
    else control.stop();
    this.#disturbAll();
    this.#for(this.#chance.is(0.8) ? this.#chance.between(500, 5_000) : this.#chance.between(5_000, 120_000), () => {
      control.start();
      this.#disturbAll();
    });
  }

  #drain(): void {
    const { commands, hosts } = this.#scene;
    const count = this.#chance.is(0.9) ? 1 : this.#chance.whole(2, Math.max(2, Math.floor(hosts.length / 50)));
    for (const host of this.#chance.some(hosts, count)) this.#do(() => commands.drain(host.id));
  }

  /** Whoever is out of service comes back, mostly; sometimes in the middle of it. */
  #bringBack(): void {
    const { commands, control } = this.#scene;
    const out = [...(control.state?.hosts.values() ?? [])].filter(({ mode }) => mode !== "active");
    for (const host of this.#chance.some(out, 2))
      this.#do(() => (host.mode === "draining" ? commands.undrain(host.id) : commands.activate(host.id)));
  }

  #deploy(): void {
    const { commands, hosts } = this.#scene;
    const app = this.#chance.pick([...commands.apps.values()]);
    const deploy = commands.randomDeploy(hosts.length);
    if (app === undefined || this.#chance.is(0.2)) this.#do(() => commands.createApp(deploy));
    else this.#do(() => commands.deploy(app, deploy));
  }

  #scale(): void {
    const { commands, hosts } = this.#scene;
    const app = this.#chance.pick([...commands.apps.values()]);
    if (app !== undefined)
      this.#do(() => commands.scale(app, this.#chance.whole(0, Math.max(2, Math.floor(hosts.length / 15)))));
  }

  #deleteApp(): void {
    const { commands } = this.#scene;
    const app = this.#chance.pick([...commands.apps.values()]);
    if (app !== undefined) this.#do(() => commands.deleteApp(app));
  }

  #touchMachine(): void {
    const { commands, control } = this.#scene;
    const machine = this.#chance.pick([...(control.state?.machines.values() ?? [])]);
    if (machine !== undefined) this.#do(() => commands.touch(machine.id));
  }
}
