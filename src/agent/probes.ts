/**
 * Asks a machine once whether it is well: an HTTP answer below 400, a TCP connection, or a command that ends with 0
 * (exec-check.ts). Called off, it answers at once and holds nothing that would keep the process from ending.
 */
import * as http from "node:http";
import * as net from "node:net";
import type { Clock } from "../lib/clock.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import type { Probe, Prober } from "./checks.ts";
import type { ExecCheckOptions } from "./exec-check.ts";
import { askExec } from "./exec-check.ts";
import { firstOutcome } from "./first-outcome.ts";

export function createProber(options: ExecCheckOptions): Prober {
  return (probe, machine, signal) => {
    if (probe.type === "http") return askHttp(probe, options.clock, signal);
    if (probe.type === "tcp") return askTcp(probe, options.clock, signal);
    return askExec(probe, machine, options, signal);
  };
}

type HttpProbe = Probe & { readonly type: "http" };
type TcpProbe = Probe & { readonly type: "tcp" };

function askHttp(probe: HttpProbe, clock: Clock, signal: AbortSignal): Promise<string | null> {
  const { host, port, path, timeoutMs } = probe;
  return new Promise((resolve) => {
    const headers = { "User-Agent": "zwrm-agent", Connection: "close" };
    const request = http.get({ host, port, path, agent: false, headers });
    const end = firstOutcome({ clock, timeoutMs, signal, letGo: () => request.destroy(), resolve });
    request.on("error", (error) => end(systemCode(error) ?? messageOf(error)));
    request.on("response", ({ statusCode = 0 }) => {
      end(statusCode >= 200 && statusCode < 400 ? null : `HTTP status ${statusCode}`);
    });
  });
}

function askTcp(probe: TcpProbe, clock: Clock, signal: AbortSignal): Promise<string | null> {
  const { host, port, timeoutMs } = probe;
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    const end = firstOutcome({ clock, timeoutMs, signal, letGo: () => socket.destroy(), resolve });
    socket.on("error", (error) => end(systemCode(error) ?? messageOf(error)));
    socket.on("connect", () => end(null));
  });
}
