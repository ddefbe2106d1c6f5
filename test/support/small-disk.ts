/** A daemon on a small disk of its own: a tmpfs in a mount namespace that ends with the process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, startDaemon } from "./daemon.ts";
import type { Owner, TestDaemon } from "./daemon.ts";

export interface SmallDisk {
  readonly daemon: TestDaemon;
  /** A path on the daemon's disk as this process reaches it, while the daemon runs. */
  inside(path: string): string;
}

const SCRIPT = `mount -t tmpfs -o "size=$1m,mode=0700" tmpfs "$2" && shift 2 && exec "$@"`;

/**
 * Starts a daemon whose data_dir lies on a tmpfs of `mebibytes`; null where no mount namespace can be made. A restart
 * has an empty disk.
 */
export async function startOnSmallDisk(mebibytes: number, owner: Owner, config = ""): Promise<SmallDisk | null> {
  const unshare = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-r", "-m"];
  const [command = "", ...flags] = unshare;
  if ((await run(command, [...flags, "sh", "-c", "mount -t tmpfs tmpfs /tmp"])).code !== 0) return null;
  const mountPoint = mkdtempSync(join(tmpdir(), "zwrmd-disk-"));
  owner.after(() => rmSync(mountPoint, { recursive: true, force: true }));
  const wrapper = [...unshare, "sh", "-c", SCRIPT, "sh", String(mebibytes), mountPoint];
  const daemon = await startDaemon({ config, dataDir: join(mountPoint, "data"), wrapper }, owner);
  return { daemon, inside: (path) => join(`/proc/${daemon.pid}/root`, mountPoint, path) };
}
