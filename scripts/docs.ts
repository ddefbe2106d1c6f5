/**
 * Prints the tables of README.md from the code's own: routes, errors, metrics. test/readme compares the two; run this
 * and paste when it fails.
 */
import { ROUTES } from "../src/api/routes.ts";
import type { Access } from "../src/identity/access.ts";
import { ERRORS } from "../src/lib/errors.ts";
import { CATALOGUE } from "../src/metrics/catalogue.ts";

function whoMay(access: Access): string {
  if (access.kind !== "protected") return access.kind;
  const who = access.hostAdmin ? "host-admin" : "anyone logged in";
  return access.scope === null ? who : `${who}, \`${access.scope}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** Each table under the name of its marker in README.md. */
export function readmeTables(): Readonly<Record<"routes" | "errors" | "metrics", string>> {
  const metrics = Object.values(CATALOGUE).map((spec) => [
    `\`${spec.name}${spec.labels.length === 0 ? "" : `{${spec.labels.join(",")}}`}\``,
    spec.type,
    spec.help,
  ]);
  return {
    routes: table(
      ["method", "path", "who may"],
      ROUTES.map((route) => [route.method, `\`${route.pattern}\``, whoMay(route.access)]),
    ),
    errors: table(
      ["code", "status", "meaning"],
      Object.entries(ERRORS).map(([code, [status, meaning]]) => [`\`${code}\``, String(status), meaning]),
    ),
    metrics: table(["metric", "type", "what it counts"], metrics),
  };
}

if (process.argv[1] === import.meta.filename)
  for (const [name, text] of Object.entries(readmeTables()))
    process.stdout.write(`<!-- ${name} -->\n${text}\n<!-- /${name} -->\n\n`);
