/**
 * What operators and users do, over the API's own routes, and a ledger of what was acknowledged to them. The one seam
 * to the workload half of the daemon.
 */
import type { State } from "../../src/state/state.ts";
import { idOf } from "../support/ids.ts";
import type { Chance } from "./chance.ts";
import type { SimClock } from "./clock.ts";
import type { Control } from "./control.ts";
import { BAD, FLAKY, GOOD, NERVOUS, temperOf } from "./images.ts";
import type { Trace } from "./trace.ts";

export interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** An app as its user knows it. */
interface OwnApp {
  readonly id: string;
  readonly name: string;
  /** The last deployment that was acknowledged. */
  deploymentId: string | null;
  /** What was acknowledged last; null while something is asked that was not answered. */
  replicas: number | null;
  image: string;
  /** Something is asked of it now; its user waits for the end of that. */
  busy: boolean;
}

export interface Deploy {
  readonly image: string;
  readonly replicas: number;
  readonly cpus: number;
  readonly memory_mb: number;
  readonly onHostLoss: "replace" | "wait";
  readonly restart: "on-failure" | "always" | "never";
  readonly minHealthySeconds: number;
}

const PROGRESS_DEADLINE_SECONDS = 90;
const MIN_HEALTHY_SECONDS = [0, 1, 5, 10, 10, 10, 30];
const RESTARTS = [
  "on-failure",
  "on-failure",
  "on-failure",
  "on-failure",
  "on-failure",
  "always",
  "always",
  "never",
] as const;

export class Commands {
  readonly apps = new Map<string, OwnApp>();
  /** The mode that each host was acknowledged to have left or entered last; absent while nobody knows. */
  readonly #asked = new Map<string, "draining" | "active">();
  /** The newest call about each host's mode that was not answered yet. */
  readonly #turning = new Map<string, { isAlone: boolean }>();
  readonly #control: Control;
  readonly #trace: Trace;
  readonly #time: SimClock;
  readonly #chance: Chance;
  #count = 0;

  constructor(control: Control, trace: Trace, time: SimClock, chance: Chance) {
    this.#control = control;
    this.#trace = trace;
    this.#time = time;
    this.#chance = chance;
  }

  /** Asks; null where no answer came, so that nobody knows whether it was done. */
  ask(
    method: string,
    path: string,
    body: Readonly<Record<string, unknown>> | null = null,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply | null> {
    return new Promise((resolve) => {
      this.#control.serve(
        { method, path, body: body === null ? "" : JSON.stringify(body), headers, hostId: null },
        (answer) => {
          const status = answer.kind === "answer" ? answer.status : 0;
          if (method !== "GET")
            this.#trace.note(
              "operator",
              `${method} ${path} ${JSON.stringify(body)} -> ${status === 0 ? answer.kind : status}`,
            );
          if (answer.kind !== "answer") return resolve(null);
          const parsed: unknown = answer.text === "" ? {} : JSON.parse(answer.text);
          resolve({ status, body: parsed as Readonly<Record<string, unknown>> });
        },
      );
    });
  }

  async createApp(deploy: Deploy): Promise<void> {
    this.#count += 1;
    const name = `app-${this.#count}`;
    const reply = await this.#askTwice("/v1/apps", { name });
    if (reply?.status !== 201) return;
    const app: OwnApp = {
      id: String(reply.body["id"]),
      name,
      deploymentId: null,
      replicas: null,
      image: deploy.image,
      busy: false,
    };
    this.apps.set(app.id, app);
    await this.deploy(app, deploy);
  }

  async deploy(
    app: OwnApp,
    { image, replicas, cpus, memory_mb, onHostLoss, restart, minHealthySeconds }: Deploy,
  ): Promise<void> {
    if (app.busy) return;
    app.image = image;
    const check = temperOf(image).check === "none" ? {} : { check: { type: "tcp", port: 80 } };
    const times = { progress_deadline_seconds: PROGRESS_DEADLINE_SECONDS, min_healthy_seconds: minHealthySeconds };
    const body = { image, replicas, cpus, memory_mb, on_host_loss: onHostLoss, restart, ...times, ...check };
    await this.#want(app, "deployments", replicas, body);
  }

  async scale(app: OwnApp, replicas: number): Promise<void> {
    await this.#want(app, "scale", replicas, { replicas });
  }

  async deleteApp(app: OwnApp): Promise<void> {
    this.apps.delete(app.id);
    await this.ask("DELETE", `/v1/apps/${app.id}?force=true`);
  }

  async drain(hostId: string): Promise<void> {
    const chance = this.#chance;
    const deadline = chance.is(0.3) ? { deadline_seconds: chance.whole(20, 300), force: chance.is(0.5) } : {};
    await this.#turn(hostId, "draining", "drain", {
      max_parallel: chance.whole(1, 5),
      reason: "simulated",
      ...deadline,
    });
  }

  undrain(hostId: string): Promise<void> {
    return this.#turn(hostId, "active", "undrain", {});
  }

  activate(hostId: string): Promise<void> {
    return this.#turn(hostId, "active", "activate", {});
  }

  /** Stops, starts or deletes a machine. */
  async touch(machineId: string): Promise<void> {
    const what = this.#chance.below(3);
    if (what === 0) await this.ask("DELETE", `/v1/machines/${machineId}`);
    else {
      await this.ask("POST", `/v1/machines/${machineId}/stop`);
      this.#time.after(
        this.#chance.between(1_000, 60_000),
        () => void this.ask("POST", `/v1/machines/${machineId}/start`),
      );
    }
  }

  /** What was acknowledged and is not in the state, in words; asked for after every start of the daemon. */
  lost(state: State): string[] {
    const found: string[] = [];
    for (const app of this.apps.values()) {
      if (state.apps.get(idOf(app.id)) === undefined) found.push(`app ${app.id} was acknowledged and is gone`);
      else if (app.deploymentId !== null && app.replicas !== null) {
        const deployment = state.deployments.get(idOf(app.deploymentId));
        if (deployment === undefined)
          found.push(`deployment ${app.deploymentId} of ${app.id} was acknowledged and is gone`);
        else if (deployment.replicas !== app.replicas)
          found.push(
            `deployment ${app.deploymentId} was acknowledged with ${app.replicas} replicas and has ` +
              `${deployment.replicas}`,
          );
      }
    }
    for (const [hostId, asked] of this.#asked) {
      // One that left may come back; whether it may have left, the invariants know.
      const mode = state.hosts.get(idOf(hostId))?.mode;
      if (mode !== undefined && (mode === "active") !== (asked === "active"))
        found.push(`host ${hostId} was acknowledged to be ${asked} and is ${mode}`);
    }
    return found;
  }

  /** Something that a user would want, by chance. `share`: how much of the fleet an app may take, at most. */
  randomDeploy(hosts: number): Deploy {
    const chance = this.#chance;
    const image = chance.pick(chance.is(0.01) ? NERVOUS : chance.is(0.12) ? BAD : chance.is(0.1) ? FLAKY : GOOD) ?? "";
    const replicas = NERVOUS.includes(image)
      ? 1
      : chance.is(0.1)
        ? chance.whole(1, Math.max(2, Math.floor(hosts / 4)))
        : chance.whole(1, Math.max(2, Math.floor(hosts / 20)));
    const cpus = chance.pick([1, 1, 1, 2, 2, 4, 6]) ?? 1;
    return {
      image,
      replicas,
      cpus,
      memory_mb: chance.pick([64, 256, 512, 1024]) ?? 64,
      onHostLoss: chance.is(0.1) ? "wait" : "replace",
      restart: chance.pick(RESTARTS) ?? "on-failure",
      minHealthySeconds: chance.pick(MIN_HEALTHY_SECONDS) ?? 10,
    };
  }

  /** A call that may be made twice: where the daemon dies under it, it is repeated with the key that it had. */
  async #askTwice(path: string, body: Readonly<Record<string, unknown>>): Promise<Reply | null> {
    this.#count += 1;
    const headers = { "idempotency-key": `key-${this.#count}` };
    const first = await this.ask("POST", path, body, headers);
    if (first !== null && !(first.status < 300 && this.#chance.is(0.2))) return first;
    await new Promise<void>((resolve) => void this.#time.after(this.#chance.between(100, 90_000), resolve));
    const second = await this.ask("POST", path, body, headers);
    if (first !== null && second !== null && second.status < 300 && first.body["id"] !== second.body["id"]) {
      throw new Error(
        `${path} was asked twice with one Idempotency-Key and gave ${String(first.body["id"])} and ` +
          `${String(second.body["id"])}`,
      );
    }
    return second;
  }

  async #want(app: OwnApp, what: string, replicas: number, body: Readonly<Record<string, unknown>>): Promise<void> {
    if (app.busy) return;
    app.busy = true;
    app.replicas = null;
    const reply = await this.#askTwice(`/v1/apps/${app.id}/${what}`, body);
    app.busy = false;
    if (reply?.status !== 202) return;
    app.deploymentId = String(reply.body["id"]);
    app.replicas = replicas;
  }

  async #turn(
    hostId: string,
    to: "draining" | "active",
    verb: string,
    body: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const before = this.#asked.get(hostId);
    const turn = { isAlone: !this.#turning.has(hostId) };
    const other = this.#turning.get(hostId);
    if (other !== undefined) other.isAlone = false;
    this.#turning.set(hostId, turn);
    this.#asked.delete(hostId);
    const reply = await this.ask("POST", `/v1/hosts/${hostId}/${verb}`, body);
    if (this.#turning.get(hostId) === turn) this.#turning.delete(hostId);
    this.#asked.delete(hostId);
    // Of two at once nobody knows which was carried out last; and where the journal could not be written, the next
    // start decides.
    if (!turn.isAlone || reply === null || reply.status === 503 || this.#control.isUnsure) return;
    if (reply.status < 300) this.#asked.set(hostId, to);
    else if (before !== undefined) this.#asked.set(hostId, before);
  }
}
