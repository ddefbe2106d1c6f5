/** Which sockets to listen on: those that systemd hands over (sd_listen_fds(3)), or the configured ones. Opens none. */
import { fstatSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../config/schema.ts";
import { messageOf, systemCode } from "../lib/errors.ts";

export type Listener =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "inherited"; readonly fd: number; readonly name: string; readonly unixSocket: boolean };

/** The first descriptor that systemd passes, SD_LISTEN_FDS_START. */
const FIRST_FD = 3;

/** The name in `OpenFile=/run/systemd/notify:notify`: it comes through LISTEN_FDS too, and is nothing to listen on. */
export const NOTIFY_NAME = "notify";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The inherited sockets; none where LISTEN_PID names another process. FileDescriptorName (LISTEN_FDNAMES) `unix…` or
 * `tcp…` tells the kind, else the kernel's table does.
 */
export function inheritedListeners(env: Env, pid: number, isUnix: (fd: number) => boolean = isUnixSocket): Listener[] {
  return passed(env, pid)
    .filter(({ name }) => name !== NOTIFY_NAME)
    .map(({ fd, name }) => {
      const unixSocket = /unix/i.test(name) || (!/tcp|http/i.test(name) && isUnix(fd));
      return { kind: "inherited", fd, name: name === "" ? `fd ${fd}` : name, unixSocket };
    });
}

/** The descriptor that was passed to this process under a name, or null. */
export function inheritedDescriptor(env: Env, pid: number, name: string): number | null {
  return passed(env, pid).find((each) => each.name === name)?.fd ?? null;
}

/** Everything that was passed, in order, with the names of LISTEN_FDNAMES. */
function passed(env: Env, pid: number): { readonly fd: number; readonly name: string }[] {
  const count = Number(env["LISTEN_FDS"] ?? "0");
  if (env["LISTEN_PID"] !== String(pid) || !Number.isInteger(count) || count < 1) return [];
  const names = (env["LISTEN_FDNAMES"] ?? "").split(":");
  return Array.from({ length: count }, (_, index) => ({ fd: FIRST_FD + index, name: names[index] ?? "" }));
}

/**
 * Without a name to go by: a descriptor of a unix socket is listed in the kernel's table of unix sockets by its inode.
 */
function isUnixSocket(fd: number): boolean {
  try {
    const inode = /socket:\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    return inode !== undefined && fstatSync(fd).isSocket() && unixInodes().has(inode);
  } catch {
    return false;
  }
}

function unixInodes(): Set<string> {
  const rows = readProc("/proc/self/net/unix").split("\n").slice(1);
  return new Set(rows.map((row) => row.trim().split(/\s+/)[6] ?? ""));
}

function readProc(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What the config asks for: TCP, and the unix socket where one is named. */
export function configuredListeners(config: Config): Listener[] {
  const { host, port, socket } = config.server;
  const tcp: Listener = { kind: "tcp", host, port };
  return socket === "" ? [tcp] : [tcp, { kind: "unix", path: socket }];
}

/**
 * Why the unix socket could not be opened, by what is there: the kernel's code alone does not tell a missing folder
 * from one that is somebody else's.
 */
export function socketRefusal(path: string, error: unknown): Error {
  const told = (why: string): Error => new Error(`server.socket is ${path}, and ${why}`, { cause: error });
  const folder = dirname(path);
  const above = look(folder);
  if (above === null) return told(`there is no folder ${folder}: make it, or set server.socket`);
  if (above === "else") return told(`${folder} is no folder: set server.socket`);
  const code = systemCode(error);
  const isTaken = code === "EADDRINUSE";
  if (isTaken && look(path) === "socket") return told("another program listens on it: stop it, or set server.socket");
  if (isTaken) return told("what lies there is no socket: move it away, or set server.socket");
  if (code === "EACCES" || code === "EPERM") return told(`this user may make nothing in ${folder}: set server.socket`);
  return told(messageOf(error));
}

function look(path: string): "folder" | "socket" | "else" | null {
  try {
    // With "/." a link to a folder is the folder.
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return look(`${path}/.`) === null ? "else" : "folder";
    return stat.isDirectory() ? "folder" : stat.isSocket() ? "socket" : "else";
  } catch {
    return null;
  }
}
