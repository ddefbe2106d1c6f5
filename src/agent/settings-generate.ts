/**
 * Writes the configuration file that --generate-config prints: every setting with what it is for, its default and its
 * variable.
 */
import { writeSections } from "../config/generate.ts";
import { LABELS_VARIABLE, listSettings } from "./settings.ts";

const HEAD = `# zwrm-agent configuration, TOML 1.0: /etc/zwrm/agent.toml
#
# Every setting stands here with its default, commented out: remove the "#" before a key and change its value.
# A variable of the environment wins over this file.
# Check a changed file with: zwrm-agent --check-config --config FILE
# This file holds the licence key: chmod 0600, owned by the agent's user.
`;

const LABELS = `
[labels]
# Labels of this host, of your own choice, each a text.
# Variable: ${LABELS_VARIABLE}="rack=r1,disk=nvme".
#rack = "r1"
`;

export function generateAgentConfig(): string {
  return `${HEAD}${writeSections(listSettings())}${LABELS}`;
}
