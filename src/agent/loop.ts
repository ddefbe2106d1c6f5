/**
 * The agent's side of register and heartbeat: when to call, what to say, whose word to obey. It sees neither network
 * nor processes, only ControlPlane and Workload, so that a simulation can run this very code a thousand times over
 * virtual time.
 */
import { ClientError } from "../client/errors.ts";
import type { Cancel } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { Allegiance } from "./allegiance.ts";
import { callDelay } from "./backoff.ts";
import type { Time } from "./due.ts";
import { msUntil } from "./due.ts";
import { EarlyBudget } from "./early-budget.ts";
import type { LoopParts } from "./loop-parts.ts";
import { askedDelay, beatPatience, longestDelay, registerPatience } from "./patience.ts";
import type { HeartbeatAnswer, RegisterAnswer } from "../wire/agents.ts";

const LONGEST_WAIT_SECONDS = 25;
/** A registration is told again at most so often. */
const REFRESH_MS = 1_000;
/** Changes that come together are told together. */
const GATHER_MS = 20;

export class Loop {
  readonly #options: LoopParts;
  readonly #budget: EarlyBudget;
  readonly #allegiance: Allegiance;
  #hostId: string;
  #intervalSeconds = 1;
  #offlineAfterMs: number;
  #registered = false;
  #stopped = false;
  /** Lists are not taken any more. */
  #ending = false;
  /** An answer that knows nothing of this host is the word that it has left. */
  #leaving = false;
  /** The list that is acted on; null before the first one and while another cluster answers. */
  #observed: string | null = null;
  /** Numbers of the newest beat sent, and of the newest whose answer was taken: answers may overtake each other. */
  #sent = 0;
  #answered = 0;
  #sentAt = 0;
  /** How long the newest beat may be held. */
  #holdMs = 0;
  /** The newest beat that another is sent in place of, since it has got no answer for too long. */
  #overdue: number | null = null;
  #cancelOverdue: Cancel = () => undefined;
  /** Since the last registration something has happened after which another one may bring news. */
  #stale = false;
  #refreshDue: Time = "now";
  #cancelRefresh: Cancel = () => undefined;
  /** Settles with the newest registration; never rejects. */
  #telling: Promise<void> = Promise.resolve();
  #failures = 0;
  #complained = "";
  #timer: { readonly at: number; readonly cancel: Cancel } | null = null;
  /** Answers are taken one after another. */
  #taking: Promise<void> = Promise.resolve();

  constructor(options: LoopParts) {
    this.#options = options;
    this.#budget = new EarlyBudget(options.clock);
    this.#allegiance = new Allegiance(options.membership, options.log);
    this.#hostId = options.facts().host_id;
    this.#offlineAfterMs = options.membership.offlineAfterMs;
  }

  start(): void {
    void this.#register();
  }

  /**
   * The report has changed: says so as soon as the budget for early beats allows. While calls fail, the next try says
   * it anyway.
   */
  notify(): void {
    const { clock } = this.#options;
    if (this.#registered && this.#failures === 0)
      this.#schedule(Math.max(clock.mono() + GATHER_MS, this.#budget.readyAt()));
  }

  /** The agent begins to end: it is heard until `stop`, and what runs stays as it is. */
  end(): void {
    this.#ending = true;
  }

  /** Calls nobody any more, and takes no answer. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#cancelOverdue();
    this.#cancelRefresh();
  }

  /**
   * Leaves the list of hosts. Until that has been answered the host goes on to be heard; then it calls nobody any more.
   * Rejects with a ClientError.
   */
  async deregister(reason: string): Promise<void> {
    this.#leaving = true;
    // It would bring the host back.
    await this.#telling;
    try {
      await this.#options.control.deregister(this.#hostId, reason);
    } catch (error) {
      // An earlier try was carried out, and its answer was lost.
      if (!(error instanceof ClientError) || error.code !== "host_not_registered") throw error;
    }
    this.stop();
  }

  async #register(): Promise<void> {
    const { clock, control, facts, log } = this.#options;
    this.#registered = false;
    // It would come back to the list that it is about to leave.
    if (this.#leaving) return;
    try {
      const request = facts();
      const call = control.register(request, registerPatience(this.#offlineAfterMs));
      this.#telling = call.then(
        () => undefined,
        () => undefined,
      );
      const answer = await call;
      if (this.#stopped) return;
      this.#hostId = answer.host.id;
      this.#refreshDue = { at: clock.mono() + REFRESH_MS };
      await this.#learn(answer);
      if (this.#stopped) return;
      // Only a beat proves that the host is in the list; until then this may be one of many vain tries.
      this.#registered = true;
      this.#observed = null;
      log.info("registered", {
        host: this.#hostId,
        cluster: answer.cluster_id,
        interval_seconds: this.#intervalSeconds,
      });
      this.#beat();
    } catch (error) {
      if (!this.#stopped) this.#retry(error, () => void this.#register());
    }
  }

  /**
   * The control plane has been away, or held a beat for less than it would with the offline_after that is known here:
   * it may have been started anew with another one. A registration that tells it nothing new costs it nothing.
   */
  #refresh(): void {
    const { clock, control, facts, log } = this.#options;
    this.#cancelRefresh();
    if (this.#leaving || this.#ending || this.#stopped) return;
    const wait = msUntil(this.#refreshDue, clock.mono());
    if (wait > 0) return void (this.#cancelRefresh = clock.after(wait, () => this.#refresh()));
    this.#refreshDue = { at: clock.mono() + REFRESH_MS };
    this.#telling = control
      .register(facts(), registerPatience(this.#offlineAfterMs))
      .then(async (answer) => {
        const before = this.#intervalSeconds;
        if (!this.#stopped) await this.#learn(answer);
        // Its next beat is due sooner than it was.
        if (this.#failures === 0 && this.#intervalSeconds < before)
          this.#schedule(Math.max(clock.mono(), this.#regularAt()));
      })
      .catch((error: unknown) => log.debug("the registration could not be told again", { reason: messageOf(error) }));
  }

  /** Another cluster's word is not kept: whether this host will ever be its own, an operator says. */
  async #learn({ cluster_id, heartbeat_interval_seconds, offline_after_seconds }: RegisterAnswer): Promise<void> {
    const { membership, log } = this.#options;
    this.#stale = false;
    this.#intervalSeconds = heartbeat_interval_seconds;
    this.#offlineAfterMs = offline_after_seconds * 1000;
    if (membership.clusterId !== null && membership.clusterId !== cluster_id) return;
    await membership.learn(this.#offlineAfterMs).catch((error: unknown) => {
      log.warn("the control plane's offline_after could not be written down", { reason: messageOf(error) });
    });
  }

  #beat(): void {
    const { clock, control, workload, usage, bootId } = this.#options;
    const used = usage();
    this.#sent += 1;
    const beat = this.#sent;
    if (clock.mono() < this.#regularAt()) this.#budget.spend();
    this.#sentAt = clock.mono();
    const request = {
      ...(used === undefined ? {} : { usage: used }),
      machines: workload.report(),
      ...(this.#observed === null ? {} : { observed_revision: this.#observed }),
      boot_id: bootId,
      beat,
      wait_seconds:
        this.#observed === null || this.#failures > 0 ? 0 : Math.min(LONGEST_WAIT_SECONDS, this.#intervalSeconds),
    };
    this.#holdMs = request.wait_seconds * 1000;
    this.#cancelOverdue();
    this.#cancelOverdue = clock.after(this.#holdMs + beatPatience(this.#offlineAfterMs), () => this.#late(beat));
    control.heartbeat(this.#hostId, request).then(
      (answer) => (this.#taking = this.#taking.then(() => this.#heard(beat, answer))),
      (error: unknown) => this.#failed(beat, error),
    );
  }

  /** When the next beat is due where there is nothing to tell. */
  #regularAt(): number {
    return this.#sentAt + this.#intervalSeconds * 1000;
  }

  async #heard(beat: number, answer: HeartbeatAnswer): Promise<void> {
    const { clock, log } = this.#options;
    // An older answer than one already taken may hold an older list.
    if (this.#stopped || !this.#registered || beat <= this.#answered) return;
    this.#answered = beat;
    if (beat === this.#sent) this.#cancelOverdue();
    const wasAway = this.#failures > 0;
    if (this.#complained !== "") log.info("the control plane answers again", { host: this.#hostId });
    this.#failures = 0;
    this.#complained = "";
    const isNew = await this.#obey(answer).catch((error: unknown) => {
      log.error("the control plane's answer could not be taken", { reason: messageOf(error) });
      return false;
    });
    if (this.#stopped || beat !== this.#sent) return;
    if (!isNew && clock.mono() - this.#sentAt < this.#holdMs * 0.9) this.#stale = true;
    if (this.#stale) this.#refresh();
    this.#schedule(
      isNew || wasAway
        ? Math.max(clock.mono() + GATHER_MS, this.#budget.readyAt())
        : Math.max(clock.mono(), this.#regularAt()),
    );
  }

  /** True where a new list was taken, which the control plane must hear of. */
  async #obey({ cluster_id, revision, machines }: HeartbeatAnswer): Promise<boolean> {
    if (!(await this.#allegiance.isOurs(cluster_id))) {
      this.#observed = null;
      return false;
    }
    if (machines === undefined || this.#stopped || this.#ending) return false;
    this.#observed = revision;
    this.#options.workload.take(machines);
    return true;
  }

  #failed(beat: number, error: unknown): void {
    // A newer beat is on its way, and will tell.
    if (this.#stopped || !this.#registered || beat !== this.#sent) return;
    const isUnknown = error instanceof ClientError && error.code === "host_not_registered";
    // Another has been sent for already, or soon will be.
    if (beat === this.#overdue && !isUnknown) return;
    this.#cancelOverdue();
    this.#retry(error, () => (isUnknown ? void this.#register() : this.#beat()));
  }

  /** Its answer is taken if it comes after all, but the host must be heard before that. */
  #late(beat: number): void {
    if (this.#stopped || !this.#registered || beat !== this.#sent || beat <= this.#answered) return;
    this.#overdue = beat;
    this.#retry(new ClientError("timeout", "It has not answered a heartbeat in time."), () => this.#beat());
  }

  #retry(error: unknown, again: () => void): void {
    const { clock, log, chance } = this.#options;
    this.#failures += 1;
    this.#stale ||= this.#registered;
    const known = error instanceof ClientError ? error : null;
    const offlineAfterMs = this.#offlineAfterMs;
    const drawn = chance();
    const asked = askedDelay((known?.retryAfterSeconds ?? 0) * 1000, offlineAfterMs, drawn, this.#registered);
    const delay = Math.max(callDelay(this.#failures, drawn, longestDelay(offlineAfterMs)), asked);
    const code = known?.code ?? messageOf(error);
    // Once for each new trouble: an hour without the control plane is one line, not four hundred.
    if (code !== this.#complained)
      log.warn("the control plane does not take this host's call; it is tried again, machines go on", {
        code,
        reason: messageOf(error),
      });
    this.#complained = code;
    this.#timer?.cancel();
    this.#timer = null;
    this.#schedule(clock.mono() + delay, again);
  }

  /** Keeps the earlier of two times. */
  #schedule(at: number, run: () => void = () => this.#beat()): void {
    if (this.#stopped || (this.#timer !== null && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const { clock } = this.#options;
    const cancel = clock.after(Math.max(0, at - clock.mono()), () => {
      this.#timer = null;
      run();
    });
    this.#timer = { at, cancel };
  }
}
