/**
 * The runtimes that agent/OPERATING.md and --generate-config offer, each run by the real agent as it stands there: a
 * machine's environment arrives.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { generateAgentConfig } from "../../src/agent/settings-generate.ts";
import { desired } from "../agent/fakes.ts";
import { FakeControlPlane, TestAgent } from "../agent/test-agent.ts";
import { documentAt } from "./documents.ts";

const OPERATING = documentAt("src/agent/OPERATING.md");
const LINES = [...OPERATING.matchAll(/^command = (\[".*\])$/gm)].map(([, words]) => words ?? "");
const SCRIPT = /```sh\n(#!\/bin\/sh\n# (\/etc\/zwrm\/firecracker\.sh) [\s\S]*?)```/.exec(OPERATING);

const root = mkdtempSync(join(tmpdir(), "zwrm-runtimes-"));
after(() => rmSync(root, { recursive: true, force: true }));

function program(name: string, script: string): string {
  writeFileSync(join(root, name), script);
  chmodSync(join(root, name), 0o755);
  return join(root, name);
}

/**
 * In place of a monitor: says what its guest would read from the environment's file, wherever the command line or its
 * config has it.
 */
const MONITOR = `#!/bin/sh
case "$*" in *--config-file*) text=$(cat "$3") ;; *) text="$*" ;; esac
file=$(printf '%s\\n' "$text" | tr ' ,="' '\\n\\n\\n\\n' | grep '/machines/m-1/env$')
set -a; . "$file"; set +a
echo "the guest: $WORD"
exec sleep 300
`;

test("agent/OPERATING.md and --generate-config offer the same runtimes", () => {
  const rows = generateAgentConfig().matchAll(/^# {3}[A-Z a-z]+: +(\[.*?\])(?:, a script .*)?$/gm);
  const offered = [...rows].map(([, words]) => words ?? "");
  assert.equal(offered.length, 4);
  for (const words of offered) assert.ok(LINES.includes(words), words);
});

for (const words of new Set(LINES)) {
  const [name = ""] = JSON.parse(words) as string[];
  test(`the runtime ${name} of agent/OPERATING.md hands a machine its environment`, async (context) => {
    const control = new FakeControlPlane();
    await control.listen();
    context.after(() => control.close());
    const isProcess = words.startsWith('["{image}"') || words.startsWith('["/bin/sh"');
    for (const monitor of ["qemu-system-x86_64", "cloud-hypervisor", "firecracker"]) program(monitor, MONITOR);
    const [, script = "", place = ""] = SCRIPT ?? [];
    const command = words.replace(place, program("firecracker.sh", script));
    const before = process.env["PATH"];
    context.after(() => (process.env["PATH"] = before));
    process.env["PATH"] = `${root}:${before ?? ""}`;
    // As OPERATING.md says of the monitors' lines; a process' line has the default.
    const agent = new TestAgent(control.url, context, `command = ${command}${isProcess ? "" : "\npass_env = false"}`);
    agent.start();
    const image = control.image('#!/bin/sh\necho "the process: $WORD"\nexec sleep 300\n');
    control.want(desired("m-1", { image, env: { WORD: "it's arrived" } }));
    await control.reported("m-1 running", () => control.report("m-1")?.state === "running");
    const said = `the ${isProcess ? "process" : "guest"}: it's arrived\n`;
    const console = join(agent.folder, "state/machines/m-1/console.log");
    await control.reported("its words", () => readFileSync(console, "utf8") === said);
  });
}

test("OPERATING.md says pass_env = false beside the runtimes of guests, and how a guest reads its environment", () => {
  assert.match(OPERATING, /# QEMU, microvm; here and below .*pass_env = false/);
  assert.match(OPERATING, /\/sys\/firmware\/qemu_fw_cfg\/by_name\/opt\/zwrm\/env\/raw/);
});

test("scripts/fleet gives machines their environment by the agent's own default", () => {
  assert.doesNotMatch(readFileSync(new URL("../../scripts/fleet", import.meta.url), "utf8"), /pass_env/);
});
