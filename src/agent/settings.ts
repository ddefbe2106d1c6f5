/**
 * Every setting of zwrm-agent in one table: type, default, range, and what it is for. Reading files is
 * settings-load.ts's.
 */
import { parseAddress } from "../client/address.ts";
import { BadValue, boolean, duration, integer, oneOf, text } from "../config/kinds.ts";
import type { Setting } from "../config/kinds.ts";
import { messageOf } from "../lib/errors.ts";
import { NAME_PATTERN } from "../lib/ids.ts";
import { PLACEHOLDERS, unknownPlaceholder } from "./exec-command.ts";

const name = {
  expected: "a text of 1 to 255 characters",
  check: (given: string) => (given === "" || given.length > 255 ? "must be a text of 1 to 255 characters" : null),
};
const folder = {
  expected: "the whole path of a folder",
  check: (given: string) => (given.startsWith("/") ? null : "must be the whole path of a folder"),
};

/**
 * Keys that stand before the first section, then the sections. `[labels]` has keys of the operator's own and is read
 * apart.
 */
export const SCHEMA = {
  "": {
    host_id: text("", {
      expected: "1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot",
      check: (given) =>
        given === "" || NAME_PATTERN.test(given)
          ? null
          : "must be 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot",
      docs: ["The host's id in the control plane. Where it is missing, the agent makes one and writes it here."],
    }),
    control_plane_url: text("", {
      expected: "http://HOST:PORT, https://HOST:PORT or unix:/PATH/TO.sock",
      check: checkUrl,
      docs: ["Where zwrmd is. Must be set."],
    }),
    license_key: text("", {
      expected: "a text",
      check: (given) => (given.trim() === given ? null : "must not begin or end with a blank"),
      secret: true,
      docs: ["The licence key. Its hash is sent, the key itself never. Must be set."],
    }),
    region: text("default", { ...name, docs: ["The region, for placement."] }),
    datacenter: text("default", { ...name, docs: ["The datacenter, for placement."] }),
    hostname: text("", {
      expected: "a text",
      check: () => null,
      docs: ["The name shown to people. Empty: this machine's own."],
    }),
    ip_address: text("", {
      expected: "a text",
      check: (given) => (given.length > 64 ? "must be an address of at most 64 characters" : null),
      docs: ["The address shown to people. Empty: the one from which the agent calls."],
    }),
    capacity_cpus: integer(0, {
      min: 0,
      max: 65_536,
      docs: ["How many CPUs machines may have. 0: as many as there are."],
    }),
    capacity_memory_mb: integer(0, {
      min: 0,
      max: 2 ** 40,
      docs: ["How much memory machines may have, in MiB. 0: as much as there is."],
    }),
    image_cache_dir: text("/var/lib/zwrm-agent/images", { ...folder, docs: ["Where images are kept."] }),
    image_cache_max_gb: integer(20, {
      min: 1,
      max: 1_000_000,
      docs: ["Above so many GiB the images used longest ago go, but none that a machine needs."],
    }),
    state_dir: text("/var/lib/zwrm-agent", {
      ...folder,
      docs: ["Where the agent keeps its key, its cluster and its machines, on a local disk."],
    }),
  },
  runtime: {
    driver: oneOf("exec", ["exec"], { docs: ['What runs machines. "exec": the command line below.'] }),
    command: command({
      placeholders: Object.keys(PLACEHOLDERS),
      docs: [
        "How a machine is run: a program and its words, without a shell. It must stay in the foreground, and end at",
        "SIGTERM, which it alone is sent.",
        ...Object.entries(PLACEHOLDERS).map(([key, meaning]) => `  {${key}}: ${meaning}`),
        "Without a command this host runs no machines. For example, as one line each; a guest is given its " +
          "environment by {env_file} and reads it as a",
        "shell does (set -a; . FILE; set +a), with QEMU from " +
          "/sys/firmware/qemu_fw_cfg/by_name/opt/zwrm/env/raw, with the others from its second disk, /dev/vdb:",
        '  a plain process:   ["{image}"]',
        '  QEMU:              ["qemu-system-x86_64", "-M", "microvm", "-enable-kvm", "-cpu", "host", ' +
          '"-smp", "{cpus}", "-m", "{memory_mb}M", "-nographic", "-no-reboot", "-kernel", ' +
          '"/var/lib/zwrm-agent/vmlinux", "-append", "console=ttyS0 root=/dev/vda ro", "-drive", ' +
          '"file={image},format=raw,if=none,id=root,readonly=on", "-device", "virtio-blk-device,drive=root", ' +
          '"-fw_cfg", "name=opt/zwrm/env,file={env_file}"]',
        '  Cloud Hypervisor:  ["cloud-hypervisor", "--kernel", "/var/lib/zwrm-agent/vmlinux", "--cmdline", ' +
          '"console=ttyS0 root=/dev/vda ro", "--disk", "path={image},readonly=on", ' +
          '"path={env_file},readonly=on", "--cpus", "boot={cpus}", "--memory", "size={memory_mb}M", ' +
          '"--serial", "tty", "--console", "off"]',
        '  Firecracker:       ["/etc/zwrm/firecracker.sh", "{dir}", "{image}", "{cpus}", "{memory_mb}", ' +
          '"{env_file}"], a script that writes {dir}/vm.json and then does: exec firecracker --no-api ' +
          '--config-file "$1/vm.json"',
      ],
    }),
    check_command: command({
      placeholders: ["id", "app_id", "dir", "check"],
      docs: [
        "How an exec check is run; {check} alone stands for the words that the deployment gives, {id}, " +
          "{app_id} and {dir} as above.",
        'Empty: exec checks never pass here. ["{check}"] runs what a deployment says on this host itself, ' +
          "as the agent's user.",
      ],
    }),
    pass_env: boolean(true, {
      docs: [
        "Whether a machine's environment is given to the command's process, and to its exec checks. A VM's " +
          "monitor needs none: false there, and {env_file} in the",
        "command. With false and without {env_file} a machine that has an environment is not started here.",
      ],
    }),
    stop_grace: duration("10s", {
      min: "100ms",
      max: "1h",
      docs: ["How long a machine may take to stop before it is killed."],
    }),
    console_max_mb: integer(4, { min: 1, max: 4096, docs: ["How much of a machine's output is kept, in MiB."] }),
  },
  log: {
    format: oneOf("text", ["text", "json"], { docs: ["How a line of the log is written."] }),
    level: oneOf("info", ["debug", "info", "warn", "error"], { docs: ["The least level that is written."] }),
  },
} as const;

type Schema = typeof SCHEMA;
type ValueOf<Row> = Row extends { readonly fallback: infer T } ? T : never;
type Rows<R> = { readonly [K in keyof R]: ValueOf<R[K]> };

/** The settings under the names of the file; durations are milliseconds. */
export interface AgentConfig extends Rows<Schema[""]> {
  readonly runtime: Rows<Schema["runtime"]>;
  readonly log: Rows<Schema["log"]>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface SettingEntry {
  /** Empty before the first section. */
  readonly section: string;
  readonly key: string;
  readonly variable: string;
  readonly setting: Setting<unknown, "" | "Ms">;
}

/** Every row, in the order of the table. */
export function listSettings(): SettingEntry[] {
  return Object.entries(SCHEMA).flatMap(([section, rows]) =>
    Object.entries<Setting<unknown, "" | "Ms">>(rows).map(([key, setting]) => ({
      section,
      key,
      variable: ["ZWRM_AGENT", section, key]
        .filter((part) => part !== "")
        .join("_")
        .toUpperCase(),
      setting,
    })),
  );
}

export const LABELS_VARIABLE = "ZWRM_AGENT_LABELS";

/** A command line as a list of words; in a variable, as JSON. */
function command({
  placeholders,
  docs,
}: {
  readonly placeholders: readonly string[];
  readonly docs: readonly string[];
}): Setting<readonly string[]> {
  const expected = "a list of texts, the program and its words";
  const fromItems = (value: unknown): readonly string[] => {
    if (!Array.isArray(value)) throw new BadValue(`must be ${expected}`);
    const words = value
      .map((word: unknown) => (typeof word === "string" && !word.includes("\0") ? word : null))
      .filter((word) => word !== null);
    if (words.length !== value.length || words[0] === "") throw new BadValue(`must be ${expected}`);
    const unknown = unknownPlaceholder(words, placeholders);
    if (unknown !== null)
      throw new BadValue(
        `has the placeholder {${unknown}}; there are ${placeholders.map((known) => `{${known}}`).join(", ")}`,
      );
    return words;
  };
  return {
    unit: "",
    fallback: [],
    literal: "[]",
    expected,
    docs,
    secret: false,
    reload: false,
    fromToml: fromItems,
    fromText: (given) => fromItems(parseJson(given)),
  };
}

function parseJson(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    throw new BadValue('must be a list as JSON, such as ["sh", "-c", "true"]');
  }
}

function checkUrl(given: string): string | null {
  if (given === "") return null;
  try {
    parseAddress(given);
    return null;
  } catch (error) {
    return `must be the URL of zwrmd: ${messageOf(error).replace(/\.$/, "")}`;
  }
}
