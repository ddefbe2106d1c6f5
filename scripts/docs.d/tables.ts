/** Every part of a document that is made from the code's own tables. */
import { listSettings as listAgentSettings } from "../../src/agent/settings.ts";
import { ROUTES } from "../../src/api/routes.ts";
import type { Setting } from "../../src/config/kinds.ts";
import { listSettings } from "../../src/config/schema.ts";
import { ERRORS } from "../../src/lib/errors.ts";
import { CATALOGUE } from "../../src/metrics/catalogue.ts";
import { callsText, nounsList, refusalsTable, routesTable } from "./reference.ts";
import { table } from "./table.ts";

/** Each under the name of its marker, which stands in one document. */
export function documentTables(): Readonly<Record<string, string>> {
  return {
    nouns: nounsList(ROUTES),
    routes: routesTable(ROUTES),
    refusals: refusalsTable(),
    errors: errorsTable(),
    calls: callsText(ROUTES),
    settings: settingsTable(listSettings()),
    "agent-settings": settingsTable(listAgentSettings()),
    metrics: metricsTable(),
  };
}

function errorsTable(): string {
  const rows = Object.entries(ERRORS).map(([code, [status, meaning]]) => [`\`${code}\``, String(status), meaning]);
  return table(["code", "status", "meaning"], rows);
}

function metricsTable(): string {
  const rows = Object.values(CATALOGUE).map(({ name, labels, type, help }) => [
    `\`${name}${labels.length === 0 ? "" : `{${labels.join(",")}}`}\``,
    type,
    help,
  ]);
  return table(["metric", "type", "what it counts"], rows);
}

interface Entry {
  readonly section: string;
  readonly key: string;
  readonly setting: Setting<unknown, "" | "Ms">;
}

/** Above so many characters a setting's first sentence has to do: --generate-config prints the rest. */
const LONG = 240;

function settingsTable(entries: readonly Entry[]): string {
  const rows = entries.map(({ section, key, setting }) => {
    const said = setting.docs.join(" ");
    const first = /^.*?\.(?= |$)/.exec(said)?.[0] ?? said;
    const reload = setting.reload ? " Applied on SIGHUP." : "";
    return [
      `\`${section === "" ? "" : `${section}.`}${key}\``,
      `\`${setting.literal}\``,
      setting.expected,
      `${said.length <= LONG ? said : first}${reload}`,
    ];
  });
  return table(["key", "default", "takes", "meaning"], rows);
}
