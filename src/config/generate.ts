/**
 * Writes the configuration file that --generate-config prints: every setting with what it is for, its default and its
 * variable.
 */
import type { Entry } from "./loader.ts";
import type { Setting } from "./kinds.ts";
import { listSettings } from "./schema.ts";

const HEAD = `# zwrmd configuration, TOML 1.0.
#
# Every setting stands here with its default, commented out: remove the "#" before a key and change its
# value. A variable of the environment wins over this file, the command line wins over both.
# Lists are written with commas in a variable: ZWRM_CORS_ALLOWED_ORIGINS="https://a.example,https://b.example".
# Durations are texts such as "500ms", "30s", "1m30s", "24h", "7d".
# Check a changed file with: zwrmd --check-config --config FILE
# This file may hold secrets: chmod 0640, owned by root and the daemon's group.
`;

/** A file that sets nothing; with every `#key = value` line uncommented it sets every default. */
export function generateConfig(): string {
  return HEAD + writeSections(listSettings());
}

export interface DescribedEntry extends Entry {
  readonly setting: Setting<unknown, "" | "Ms">;
}

/** Every setting below its section, commented out. */
export function writeSections(entries: readonly DescribedEntry[]): string {
  const sections = [...new Set(entries.map(({ section }) => section))];
  return sections
    .map((section) => {
      const settings = entries.filter((entry) => entry.section === section).map(writeSetting);
      return `\n${section === "" ? "" : `[${section}]\n`}${settings.join("\n")}`;
    })
    .join("");
}

function writeSetting({ key, variable, setting }: DescribedEntry): string {
  const reload = setting.reload ? " Applied on SIGHUP." : "";
  const lines = [
    ...setting.docs,
    `Takes ${setting.expected}.`,
    `Default: ${setting.literal}. Variable: ${variable}.${reload}`,
  ];
  return `${lines.map((line) => `# ${line}\n`).join("")}#${key} = ${setting.literal}\n`;
}
