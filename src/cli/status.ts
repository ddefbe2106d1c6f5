/** `zwrm status`: the system as the API shows it to the caller. */
import { STATUS } from "../wire/service.ts";
import { command } from "./command.ts";
import { formatAge, formatBytes } from "./format.ts";

export const status = command({
  name: "status",
  summary: "show the control plane and how much of everything the org has",
  args: {},
  flags: {},
  run: (session) =>
    session.show("GET", "/v1/status", {}, STATUS, (found) =>
      session.facts([
        ["version", found.version],
        ["cluster", found.cluster_id ?? "-"],
        ["up for", formatAge(found.uptime_seconds * 1000)],
        ["org", found.org?.slug ?? "-"],
        ...(found.hosts === undefined ? [] : [["hosts", countsText(found.hosts)] as const]),
        ["apps", countsText(found.apps)],
        ["machines", countsText(found.machines)],
        ["images", `${found.images.total} (${formatBytes(found.images.bytes)})`],
      ]),
    ),
});

/** `5 (3 online, 2 offline)`: the total, and what of it is not 0. */
function countsText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).flatMap(([name, count]) =>
    name === "total" || count === 0 ? [] : [`${count} ${name}`],
  );
  return `${counts["total"] ?? 0}${parts.length === 0 ? "" : ` (${parts.join(", ")})`}`;
}
