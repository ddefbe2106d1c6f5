/**
 * Apps on fake hosts: agents that register and beat over HTTP and report what their list asks for, step by step, when
 * the test says so.
 */
import assert from "node:assert/strict";
import { eventually } from "../support/daemon.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { beat, register } from "../support/fleet.ts";
import type { Answer } from "../support/http.ts";
import { imageOf } from "../support/images.ts";
import {
  amount,
  count,
  flag,
  like,
  listAt,
  listOf,
  mapOf,
  nullOr,
  oneOf,
  pick,
  shape,
  text,
  textAt,
  time,
} from "../support/json.ts";
import type { Check, Json } from "../support/json.ts";

export const APP: Check = shape({
  id: like(/^app_[0-9a-f]{20}$/),
  name: text,
  org_id: text,
  created_at: time,
  deployment_id: nullOr(like(/^dep_[0-9a-f]{20}$/)),
  state: nullOr(oneOf("pending", "rolling", "completed", "failed", "rolled_back", "superseded")),
  replicas: count,
  ready: count,
  image: nullOr(like(/^sha256:[0-9a-f]{64}$/)),
  deployed_at: nullOr(time),
});

export const DEPLOYMENT: Check = shape({
  id: like(/^dep_[0-9a-f]{20}$/),
  app_id: like(/^app_[0-9a-f]{20}$/),
  state: oneOf("pending", "rolling", "completed", "failed", "rolled_back", "superseded"),
  image: like(/^sha256:[0-9a-f]{64}$/),
  replicas: count,
  running: count,
  ready: count,
  reason: nullOr(text),
  cpus: count,
  memory_mb: count,
  region: nullOr(text),
  restart: oneOf("always", "on-failure", "never"),
  check: nullOr(mapOf(() => undefined)),
  env_names: listOf(text),
  on_host_loss: oneOf("replace", "wait"),
  progress_deadline_seconds: count,
  min_healthy_seconds: amount,
  created_at: time,
  finished_at: nullOr(time),
});

export const MACHINE: Check = shape({
  id: like(/^m_[0-9a-f]{20}$/),
  app_id: text,
  deployment_id: text,
  host_id: nullOr(text),
  image: text,
  state: oneOf("pending", "starting", "running", "stopping", "stopped", "failed", "unknown"),
  ready: flag,
  desired_state: oneOf("running", "stopped"),
  removing: flag,
  cpus: count,
  memory_mb: count,
  region: nullOr(text),
  restart: text,
  reason: nullOr(text),
  exit_code: nullOr(count),
  replaces: nullOr(text),
  replaced_by: nullOr(text),
  created_at: time,
  started_at: nullOr(time),
  ended_at: nullOr(time),
});

export const PLACEMENT: Check = shape({
  machine_id: text,
  host_id: nullOr(text),
  strategy: oneOf("spread", "pack"),
  decision: text,
  as_of: time,
  hosts: listOf(shape({ host_id: text, fits: flag, chosen: flag, reason: text })),
});

/** A host agent that beats when it is told to, and does at once what its list says. */
export class FakeAgent {
  readonly id: string;
  readonly #daemon: TestDaemon;
  /** The last list as it came. */
  wanted: Json[] = [];
  /** Whether a machine is ready as soon as it runs. */
  isReady: (machine: Json) => boolean = () => true;
  /** Keeps what is to stop in `stopping`. */
  lingers = false;
  /** A machine that the control plane knows nothing of runs here too, so that a drain does not end. */
  isBusy = false;
  #revision: string | null = null;
  #reports: { id: string; state: string; ready: boolean }[] = [];

  constructor(daemon: TestDaemon, id: string) {
    this.#daemon = daemon;
    this.id = id;
  }

  async beat(): Promise<void> {
    const observed = this.#revision === null ? {} : { observed_revision: this.#revision };
    const answer = await beat(this.#daemon, this.id, {
      machines: this.isBusy ? [...this.#reports, { id: "m-foreign", state: "running" }] : this.#reports,
      ...observed,
    });
    assert.equal(answer.status, 200, answer.text);
    this.#revision = textAt(answer.json, "revision");
    if (pick(answer.json, "machines") !== undefined) this.wanted = listAt(answer.json, "machines");
    this.#reports = this.wanted.map((machine) => {
      const id = textAt(machine, "id");
      const state = textAt(machine, "desired_state") === "running" ? "running" : this.lingers ? "stopping" : "stopped";
      return { id, state, ready: state === "running" && this.isReady(machine) };
    });
  }
}

/** A daemon with fake hosts, and the requests that tests of apps make again and again, as the localhost caller. */
export class Cluster {
  readonly daemon: TestDaemon;
  readonly agents = new Map<string, FakeAgent>();

  constructor(daemon: TestDaemon) {
    this.daemon = daemon;
  }

  async host(id: string, more: Record<string, Json> = {}): Promise<FakeAgent> {
    assert.equal((await register(this.daemon, id, { capacity: { cpus: 16, memory_mb: 16_384 }, ...more })).status, 201);
    const agent = new FakeAgent(this.daemon, id);
    this.agents.set(id, agent);
    return agent;
  }

  /** Beats for every host until `look` has an answer. */
  until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
    return eventually(
      what,
      async () => {
        for (const agent of this.agents.values()) await agent.beat();
        return look();
      },
      15_000,
    );
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.daemon.request("GET", path, { headers });
  }

  post(path: string, body: Json = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.daemon.request("POST", path, { body, headers });
  }

  /** Pushes an image and gives its digest. */
  async push(content: string, headers: Record<string, string> = {}): Promise<string> {
    const image = imageOf(content);
    const answer = await this.daemon.request("PUT", `/v1/images/${image.digest}`, { body: image.bytes, headers });
    assert.ok(answer.status === 201 || answer.status === 200, answer.text);
    return image.digest;
  }

  async app(name: string): Promise<string> {
    return textAt(must(await this.post("/v1/apps", { name }), 201), "id");
  }

  async deploy(app: string, image: string, more: Record<string, Json> = {}): Promise<Json> {
    // That health lasts is asked for where that is what is tested.
    return must(await this.post(`/v1/apps/${app}/deployments`, { image, min_healthy_seconds: 0, ...more }), 202);
  }

  async deployment(app: string, id: string): Promise<Json> {
    return must(await this.get(`/v1/apps/${app}/deployments/${id}`), 200);
  }

  deploymentIs(app: string, id: string, state: string): Promise<Json> {
    return this.until(`deployment ${id} to be ${state}`, async () => {
      const shown = await this.deployment(app, id);
      return pick(shown, "state") === state ? shown : undefined;
    });
  }

  /** Deploys and waits until it is completed; gives its id. */
  async deployed(app: string, image: string, more: Record<string, Json> = {}): Promise<string> {
    const id = textAt(await this.deploy(app, image, more), "id");
    await this.deploymentIs(app, id, "completed");
    return id;
  }

  async machines(query: string): Promise<Json[]> {
    return listAt(must(await this.get(`/v1/machines?${query}`), 200), "machines");
  }

  async machine(id: string): Promise<Json> {
    return must(await this.get(`/v1/machines/${id}`), 200);
  }

  /** The app's only machine. */
  async onlyMachine(app: string): Promise<string> {
    const [id = "", ...more] = idsOf(await this.machines(`app_id=${app}`));
    assert.deepEqual(more, []);
    return id;
  }

  /** What an app leaves behind is no load for the next test. */
  async finish(app: string): Promise<void> {
    must(await this.daemon.request("DELETE", `/v1/apps/${app}?force=true`), 204);
    await this.until(`the machines of ${app} to be gone`, async () =>
      (await this.machines(`app_id=${app}`)).every((row) => pick(row, "ended_at") !== null) ? true : undefined,
    );
  }

  machineIs(id: string, state: string): Promise<Json> {
    return this.until(`machine ${id} to be ${state}`, async () => {
      const shown = await this.machine(id);
      return pick(shown, "state") === state ? shown : undefined;
    });
  }
}

/** The answer's body; its status must be this one. */
export function must(answer: Answer, status: number): Json {
  assert.equal(answer.status, status, answer.text);
  return answer.body.length === 0 ? null : answer.json;
}

export function idsOf(rows: readonly Json[]): string[] {
  return rows.map((row) => textAt(row, "id"));
}
