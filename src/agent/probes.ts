/** Asks a machine once whether it is well: an HTTP answer below 400, a TCP connection, or a command that ends with 0. */
import { spawn } from "node:child_process";
import * as http from "node:http";
import * as net from "node:net";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { Probe, Prober } from "./checks.ts";
import { fillInCheck } from "./exec-command.ts";
import { workFolder } from "./machine-folder.ts";
import type { DesiredMachine } from "./wire.ts";

export interface ProbeOptions {
  readonly clock: Clock;
  /** `runtime.check_command`; empty where the operator lets no deployment run commands here. */
  readonly checkCommand: readonly string[];
  readonly machinesDir: string;
  readonly path: string;
}

export function createProber(options: ProbeOptions): Prober {
  return (probe, machine) => {
    if (probe.type === "http") return askHttp(probe, options.clock);
    return probe.type === "tcp" ? askTcp(probe, options.clock) : askExec(probe, machine, options);
  };
}

function askHttp({ host, port, path, timeoutMs }: Probe & { readonly type: "http" }, clock: Clock): Promise<string | null> {
  return new Promise((resolve) => {
    const request = http.get({ host, port, path, agent: false, headers: { "User-Agent": "zwrm-agent", Connection: "close" } });
    const end = finish(clock, timeoutMs, () => request.destroy(), resolve);
    request.on("error", (error) => end(systemCode(error) ?? messageOf(error)));
    request.on("response", ({ statusCode = 0 }) => end(statusCode >= 200 && statusCode < 400 ? null : `HTTP status ${statusCode}`));
  });
}

function askTcp({ host, port, timeoutMs }: Probe & { readonly type: "tcp" }, clock: Clock): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    const end = finish(clock, timeoutMs, () => socket.destroy(), resolve);
    socket.on("error", (error) => end(systemCode(error) ?? messageOf(error)));
    socket.on("connect", () => end(null));
  });
}

function askExec({ command, timeoutMs }: Probe & { readonly type: "exec" }, machine: DesiredMachine, { clock, checkCommand, machinesDir, path }: ProbeOptions): Promise<string | null> {
  if (checkCommand.length === 0) return Promise.resolve("this host runs no exec checks: its [runtime] check_command is empty");
  const dir = workFolder(join(machinesDir, machine.id));
  const [program = "", ...words] = fillInCheck(checkCommand, command, { id: machine.id, app_id: machine.app_id, dir });
  return new Promise((resolve) => {
    const child = spawn(program, words, { cwd: dir, env: { PATH: path, ZWRM_MACHINE_ID: machine.id }, stdio: "ignore", detached: true });
    // With its whole group: a shell's children would outlive it.
    const end = finish(clock, timeoutMs, () => child.exitCode === null && child.signalCode === null && child.pid !== undefined && endGroup(child.pid), resolve);
    child.on("error", (error) => end(messageOf(error)));
    child.on("exit", (code, signal) => end(code === 0 ? null : `exit ${code ?? signal ?? "unknown"}`));
  });
}

/** The first outcome counts; then everything is let go of. */
function finish(clock: Clock, timeoutMs: number, letGo: () => void, resolve: (failure: string | null) => void): (failure: string | null) => void {
  const cancel = clock.after(timeoutMs, () => end(`no answer within ${timeoutMs / 1000} s`));
  const end = (failure: string | null): void => {
    cancel();
    letGo();
    resolve(failure);
  };
  return end;
}

function endGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if (systemCode(error) !== "ESRCH") throw error;
  }
}
