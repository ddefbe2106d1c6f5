import assert from "node:assert/strict";
import { chmodSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { parseArguments, UsageError } from "../../src/agent/arguments.ts";
import { withHostId, writeHostId } from "../../src/agent/host-id.ts";
import { generateAgentConfig } from "../../src/agent/settings-generate.ts";
import { loadAgentConfig } from "../../src/agent/settings-load.ts";
import { listSettings } from "../../src/agent/settings.ts";
import { ConfigError } from "../../src/config/error.ts";

const root = mkdtempSync(join(tmpdir(), "zwrm-settings-"));
after(() => rmSync(root, { recursive: true, force: true }));

const NEEDED = `control_plane_url = "http://10.0.0.1:8080"\nlicense_key = "key"\n`;

function fileOf(text: string): string {
  const path = join(mkdtempSync(join(root, "c-")), "agent.toml");
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

function load(text: string, env: Record<string, string> = {}) {
  return loadAgentConfig({ path: fileOf(text), required: true, env });
}

/** What is said of a wrong configuration, without the folder's name. */
function problems(text: string, env: Record<string, string> = {}): string {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map((line) => line.replace(/^\S*agent\.toml/, "FILE")).join("\n");
    throw error;
  }
  return "";
}

test("reads every key, and gives the defaults of the rest", () => {
  const { config } = load(
    `${NEEDED}host_id = "h-1"\ncapacity_cpus = 4\n[runtime]\ncommand = ["run", "{image}", ` +
      `"run"]\nstop_grace = "1m30s"\n[labels]\nrack = "r1"\n`,
  );
  assert.deepEqual(
    [config.host_id, config.capacity_cpus, config.region, config.image_cache_max_gb],
    ["h-1", 4, "default", 20],
  );
  assert.deepEqual(
    [config.runtime.command, config.runtime.stop_grace, config.runtime.pass_env],
    [["run", "{image}", "run"], 90_000, true],
  );
  assert.deepEqual(config.labels, { rack: "r1" });
});

test("the environment wins over the file, and a misspelled variable is warned of", () => {
  const { config, warnings } = load(`${NEEDED}region = "a"\n[labels]\nrack = "r1"\n`, {
    ZWRM_AGENT_REGION: "b",
    ZWRM_AGENT_RUNTIME_COMMAND: '["sh", "{image}"]',
    ZWRM_AGENT_LABELS: "disk=nvme, zone=a=b",
    ZWRM_AGENT_REGIO: "c",
    ZWRM_SERVER_PORT: "1",
  });
  assert.deepEqual(
    [config.region, config.runtime.command, config.labels],
    ["b", ["sh", "{image}"], { disk: "nvme", zone: "a=b" }],
  );
  assert.deepEqual(warnings, ['ZWRM_AGENT_REGIO: names no setting and is ignored; did you mean "ZWRM_AGENT_REGION"?']);
});

test("says everything that is wrong at once, with line and nearest key, and quotes no licence", () => {
  const said = problems(
    `control_plane_url = "10.0.0.1"\nlicense_key = " top secret"\nregoin = "x"\ncommand = ` +
      `["a"]\n[runtme]\na = 1\n[runtime]\ndriver = "docker"\ncommand = ["run", "{imag}"]\nhost_id = ` +
      `"x"\n[labels]\n"a b" = "c"\nrack = 1\n`,
  );
  assert.doesNotMatch(said, /secret/);
  const lines = said.split("\n");
  assert.match(lines[0] ?? "", /^FILE:1: control_plane_url: must be the URL of zwrmd: /);
  assert.match(lines[1] ?? "", /^FILE:2: license_key: must not begin or end with a blank$/);
  assert.match(lines[2] ?? "", /^FILE:3: regoin: .*did you mean "region"\?$/);
  assert.match(lines[3] ?? "", /^FILE:4: command: .*belongs to \[runtime\]$/);
  assert.match(lines[4] ?? "", /^FILE:5: runtme: there is no such section; did you mean "runtime"\?$/);
  assert.match(lines[5] ?? "", /^FILE:8: \[runtime\] driver: must be one of "exec"/);
  assert.match(lines[6] ?? "", /^FILE:9: \[runtime\] command: has the placeholder \{imag\}; there are \{image\}/);
  assert.match(lines[7] ?? "", /^FILE:10: \[runtime\] host_id: .*before the first section$/);
  assert.equal(lines.length, 10, said);
});

test("a section that is none is told how to be one, beside what must be set", () => {
  assert.equal(
    problems(`control_plane_url = "http://a:1"\nruntime = 1\nlabels = 1\nregion = {}\n`),
    "FILE:2: runtime: must be a section: write [runtime] on a line of its own, once\n" +
      "FILE:3: labels: must be a section: write [labels] on a line of its own\n" +
      "FILE:4: region: must be a text of 1 to 255 characters, not a table\n" +
      "FILE: license_key: must be set, here or as ZWRM_AGENT_LICENSE_KEY",
  );
});

test("names what must be set, and what may be set instead", () => {
  assert.equal(
    problems(""),
    "FILE: control_plane_url: must be set, here or as ZWRM_AGENT_CONTROL_PLANE_URL\nFILE: license_key: must " +
      "be set, here or as ZWRM_AGENT_LICENSE_KEY",
  );
  assert.equal(problems("", { ZWRM_AGENT_CONTROL_PLANE_URL: "http://a:1", ZWRM_AGENT_LICENSE_KEY: "k" }), "");
});

test("a file that is not TOML is told by line and without its text", () => {
  const said = problems(`license_key = "secret\n`);
  assert.match(said, /^FILE:1: column \d+: /);
  assert.doesNotMatch(said, /secret/);
});

test("a missing file is an error only where it was named", () => {
  const path = join(root, "nowhere.toml");
  assert.throws(
    () => loadAgentConfig({ path, required: true, env: {} }),
    /there is no such file: make one with "zwrm-agent --generate-config/,
  );
  const env = { ZWRM_AGENT_CONTROL_PLANE_URL: "http://a:1", ZWRM_AGENT_LICENSE_KEY: "k" };
  assert.equal(loadAgentConfig({ path, required: false, env }).file, null);
});

test("a licence that everybody can read is warned of", () => {
  const path = fileOf(NEEDED);
  chmodSync(path, 0o644);
  assert.match(loadAgentConfig({ path, required: true, env: {} }).warnings.join(), /chmod 0640/);
});

test("the generated file names every key, sets nothing, and uncommented sets every default", () => {
  const text = generateAgentConfig();
  for (const { key } of listSettings()) assert.match(text, new RegExp(`^#${key} = `, "m"), key);
  assert.match(problems(text), /^FILE: control_plane_url: must be set/);
  const { config } = load(
    text
      .replace(/^#([a-z_]+ = )/gm, "$1")
      .replace(/^(control_plane_url|license_key) = .*\n/gm, "")
      .replace(/^#?$/m, NEEDED),
  );
  assert.equal(config.state_dir, "/var/lib/zwrm-agent");
});

const HOST_LINE = 'host_id = "h-9"\n';

test("a new host_id goes where it belongs and changes nothing else", () => {
  const head = "# our agent\n\n";
  const rest = '# where\ncontrol_plane_url = "http://a" # there\n\n[labels]\n# of ours\nrack = "r1"\n';
  assert.equal(withHostId(head + rest, "h-9"), head + HOST_LINE + rest);
  assert.equal(
    withHostId(`# first line\n#host_id = ""\n\n${rest}`, "h-9"),
    `# first line\n#host_id = ""\n${HOST_LINE}\n${rest}`,
  );
  assert.equal(
    withHostId(`a = 1\nhost_id = "" # ours\n[labels]\n`, "h-9"),
    `a = 1\nhost_id = "h-9" # ours\n[labels]\n`,
  );
  assert.equal(withHostId("[labels]\nhost_id = 'x'", "h-9"), `${HOST_LINE}[labels]\nhost_id = 'x'`);
  assert.equal(withHostId("# only this", "h-9"), `# only this\n${HOST_LINE}`);
  assert.equal(withHostId("", "h-9"), HOST_LINE);
  assert.equal(withHostId("\ufeffa = 1\r\n", "h-9"), `\ufeff${HOST_LINE.trimEnd()}\r\na = 1\r\n`);
  assert.equal(
    withHostId('text = """\n#host_id = 1\nhost_id = ""\n"""\n', "h-9"),
    `${HOST_LINE}text = """\n#host_id = 1\nhost_id = ""\n"""\n`,
  );
});

test("the generated file takes the id at its place", () => {
  const text = withHostId(generateAgentConfig(), "h-9");
  assert.ok(text.includes(`#host_id = ""\n${HOST_LINE}`));
});

test("a place where it cannot be written is left as it is", () => {
  assert.throws(() => withHostId('a = """\nhost_id = ""\n"""\nhost_id = ""\n', "h-9"), /leaves no place/);
});

test("the file keeps its mode, and a link stays a link to it", async () => {
  const path = fileOf(NEEDED);
  chmodSync(path, 0o660);
  const link = join(root, "link.toml");
  symlinkSync(path, link);
  await writeHostId(link, readFileSync(link), "h-9");
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(path, "utf8"), HOST_LINE + NEEDED);
  assert.equal(statSync(path).mode & 0o777, 0o660);
});

test("a file that cannot be written says what to do", async () => {
  await assert.rejects(
    writeHostId(join(root, "no", "such.toml"), null, "h-9"),
    /Write host_id = "h-9" into it yourself, or set ZWRM_AGENT_HOST_ID/,
  );
});

test("the command line is read, and what does not go together is refused", () => {
  assert.deepEqual(parseArguments([]), { command: { name: "run", deregisterOnExit: false }, configPath: null });
  assert.deepEqual(parseArguments(["--config=a.toml", "--deregister-on-exit"]), {
    command: { name: "run", deregisterOnExit: true },
    configPath: "a.toml",
  });
  assert.deepEqual(parseArguments(["logs", "-f", "m-1", "--config", "a"]), {
    command: { name: "logs", id: "m-1", follow: true },
    configPath: "a",
  });
  assert.deepEqual(parseArguments(["accept-cluster"]).command, { name: "accept-cluster" });
  assert.deepEqual(parseArguments(["logs", "--help"]).command, { name: "help" });
  for (const words of [
    ["logs"],
    ["logs", "a", "b"],
    ["accept-cluster", "x"],
    ["start"],
    ["--folow"],
    ["--follow"],
    ["--config"],
    ["logs", "a", "--check-config"],
    ["--check-config", "--generate-config"],
    ["constructor"],
    ["--constructor"],
  ]) {
    assert.throws(() => parseArguments(words), UsageError, words.join(" "));
  }
});
