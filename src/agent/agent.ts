/** The one place where the agent is put together: start order, stop order. It decides nothing. */
import { hostname } from "node:os";
import { join } from "node:path";
import { Client } from "../client/http.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { diskFiles } from "../lib/files.ts";
import { newId, newUuid, sha256Hex } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import { VERSION } from "../lib/version.ts";
import { CheckProcesses } from "./check-processes.ts";
import { ProbingChecks } from "./checks.ts";
import type { Note } from "./checks.ts";
import { noteInConsole } from "./console-note.ts";
import { boundConsoles } from "./console.ts";
import { HttpControlPlane } from "./control-plane.ts";
import { httpDownloads } from "./download.ts";
import { ExecDriver } from "./exec-driver.ts";
import { detectCapacity, SteadyHost, thisHost, UsageMeter } from "./host-facts.ts";
import type { HostView } from "./host-facts.ts";
import { ImageCache } from "./image-cache.ts";
import { lockStateDir } from "./lock.ts";
import type { OwnRegistration, Workload } from "./loop-parts.ts";
import { Loop } from "./loop.ts";
import { DiskMachineStore } from "./machine-store.ts";
import { Machines } from "./machines.ts";
import { DiskMembership } from "./membership.ts";
import { hostKey, LastList } from "./own-state.ts";
import { createProber } from "./probes.ts";
import type { AgentConfig } from "./settings.ts";
import type { Room } from "./reconcile.ts";
import type { Resources } from "../wire/common.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const DOWNLOAD_TIMEOUT_MS = 30_000;
const DEREGISTER_TRIES = 3;

export interface AgentOptions {
  readonly config: AgentConfig;
  readonly hostId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Where programs are looked for. */
  readonly path: string;
  /** From [0, 1). */
  readonly chance: () => number;
}

interface AgentParts {
  readonly client: Client;
  readonly loop: Loop;
  readonly machines: Machines;
  readonly workload: Workload;
  readonly lastList: LastList;
  readonly checkProcesses: CheckProcesses;
  readonly cancelConsoles: Cancel;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #client: Client;
  readonly #loop: Loop;
  readonly #machines: Machines;
  readonly #workload: Workload;
  readonly #lastList: LastList;
  readonly #checkProcesses: CheckProcesses;
  readonly #cancelConsoles: Cancel;

  private constructor(options: AgentOptions, parts: AgentParts) {
    this.#options = options;
    this.#client = parts.client;
    this.#loop = parts.loop;
    this.#machines = parts.machines;
    this.#lastList = parts.lastList;
    this.#workload = parts.workload;
    this.#checkProcesses = parts.checkProcesses;
    this.#cancelConsoles = parts.cancelConsoles;
  }

  /** Adopts what runs, then begins to call the control plane. Rejects where the state folder cannot be used. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { config, clock, log } = options;
    const stateDir = config.state_dir;
    await diskFiles.mkdir(stateDir);
    lockStateDir(stateDir);
    const headers = { "X-Zwrm-Host-Key": await hostKey(diskFiles, stateDir) };
    const token = sha256Hex(config.license_key);
    const userAgent = `zwrm-agent/${VERSION}`;
    const client = new Client({ apiUrl: config.control_plane_url, clock, userAgent, token, headers });
    const membership = await DiskMembership.open(diskFiles, stateDir, log);
    const lastList = new LastList(diskFiles, stateDir, log);
    const host = new SteadyHost(thisHost, log);
    const machinesDir = join(stateDir, "machines");
    await diskFiles.mkdir(machinesDir);
    const download = httpDownloads({
      address: client.address,
      headers: { Authorization: `Bearer ${token}`, "User-Agent": userAgent },
      clock,
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
    });
    const images = new ImageCache({
      folder: config.image_cache_dir,
      maxBytes: config.image_cache_max_gb * GIB,
      files: diskFiles,
      open: download,
      clock,
      log,
      inUse: () => machines.imagesInUse(),
    });
    await images.open();
    const checkProcesses = new CheckProcesses({ machinesDir, clock, log });
    // An agent that was killed has left its checks.
    checkProcesses.sweep();
    const [room, staleMs] = [capacityOf(options, host), membership.offlineAfterMs];
    const machines = createMachines(options, { machinesDir, images, checkProcesses, room, staleMs });
    await machines.load(await lastList.load(membership.clusterId));
    const workload: Workload = {
      report: () => machines.report(),
      take: (list) => {
        if (membership.clusterId !== null) lastList.save(membership.clusterId, list);
        machines.take(list);
      },
    };
    const facts = () => factsOf(options, host);
    const loop = new Loop({
      clock,
      log,
      control: new HttpControlPlane(client),
      membership,
      workload,
      facts,
      usage: usageOf(new UsageMeter(host, config.image_cache_dir), log),
      bootId: newUuid(),
      chance: options.chance,
    });
    machines.onChange(() => loop.notify());
    loop.start();
    const cancelConsoles = boundConsoles(machinesDir, config.runtime.console_max_mb * MIB, clock, log);
    return new Agent(options, { client, loop, machines, workload, lastList, checkProcesses, cancelConsoles });
  }

  /** Calls off what is under way, and stops calling once all is written down. Machines go on. */
  async stop(): Promise<void> {
    this.#loop.end();
    this.#cancelConsoles();
    const closed = this.#machines.close();
    this.#checkProcesses.close();
    await closed;
    await this.#lastList.settled();
    this.#loop.stop();
    this.#client.close();
  }

  /**
   * Leaves the control plane's list, then stops all machines, which are placed elsewhere. Where it cannot leave, they
   * go on: false.
   */
  async leave(reason: string): Promise<boolean> {
    const { clock, log } = this.#options;
    for (let tries = 1; tries <= DEREGISTER_TRIES; tries += 1) {
      try {
        await this.#loop.deregister(reason);
        log.info("deregistered; stopping all machines");
        // Its machines run elsewhere from now on: the next start must not begin with them.
        this.#workload.take([]);
        await this.#lastList.settled();
        await this.#machines.stopAll();
        return true;
      } catch (error) {
        log.warn("the host could not be deregistered", { reason: messageOf(error), tries });
        if (tries < DEREGISTER_TRIES) await new Promise<void>((resolve) => void clock.after(1_000, resolve));
      }
    }
    return false;
  }
}

interface MachineParts {
  readonly machinesDir: string;
  readonly images: ImageCache;
  readonly checkProcesses: CheckProcesses;
  readonly room: Room;
  /** Who was silent for so long may find its machines replaced elsewhere. */
  readonly staleMs: number;
}

function createMachines({ config, clock, log, path }: AgentOptions, parts: MachineParts): Machines {
  const { runtime } = config;
  const { machinesDir, images, checkProcesses: processes, room, staleMs } = parts;
  const passEnv = runtime.pass_env;
  const prober = createProber({ clock, checkCommand: runtime.check_command, machinesDir, path, passEnv, processes });
  const note: Note = ({ id }, lines) => noteInConsole(join(machinesDir, id), "check", lines);
  const store = new DiskMachineStore(machinesDir, clock, log);
  store.keepSwept();
  return new Machines({
    clock,
    log,
    images,
    store,
    runtime: new ExecDriver({ clock, machinesDir, command: runtime.command, passEnv, path }),
    checks: new ProbingChecks(clock, prober, note),
    newLaunchId: () => newId("l"),
    room,
    stopGraceMs: runtime.stop_grace,
    staleMs,
  });
}

function capacityOf({ config }: AgentOptions, host: HostView): Resources {
  return detectCapacity(host, config.image_cache_dir, {
    cpus: config.capacity_cpus,
    memoryMb: config.capacity_memory_mb,
  });
}

function factsOf(options: AgentOptions, host: HostView): OwnRegistration {
  const { config, hostId } = options;
  return {
    host_id: hostId,
    hostname: config.hostname === "" ? hostname() : config.hostname,
    region: config.region,
    datacenter: config.datacenter,
    ...(config.ip_address === "" ? {} : { ip_address: config.ip_address }),
    capacity: capacityOf(options, host),
    agent_version: VERSION,
    labels: config.labels,
  };
}

/**
 * A host that cannot be measured for a moment is heard all the same; the log says so once, until the reason is another.
 */
function usageOf(meter: UsageMeter, log: Log): () => Resources | undefined {
  let complained = "";
  return () => {
    try {
      const usage = meter.read();
      complained = "";
      return usage;
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== complained) log.warn("usage could not be measured", { reason });
      complained = reason;
      return undefined;
    }
  };
}
