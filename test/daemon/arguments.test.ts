import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArguments, USAGE, UsageError } from "../../src/daemon/arguments.ts";

const SUM = "ab".repeat(32);

test("no words run the daemon with the default config", () => {
  assert.deepEqual(parseArguments([]), { command: { name: "run" }, configPath: null, dataDir: null });
});

test("flags take their value as the next word or after an equals sign", () => {
  assert.deepEqual(parseArguments(["--config", "/a", "--data-dir=/b=c"]), {
    command: { name: "run" },
    configPath: "/a",
    dataDir: "/b=c",
  });
});

test("each command is found, with its own flags", () => {
  assert.deepEqual(parseArguments(["journal", "verify", "--head", `7:${SUM}`]).command, {
    name: "journal-verify",
    head: { seq: 7, sum: SUM },
  });
  assert.deepEqual(parseArguments(["journal", "dump", "--after", "5", "--secrets"]).command, {
    name: "journal-dump",
    filter: { after: 5, actor: null, since: null, type: null },
    secrets: true,
  });
  assert.deepEqual(parseArguments(["journal", "compact"]).command, { name: "journal-compact" });
  assert.deepEqual(parseArguments(["images", "verify", "--config=/c"]), {
    command: { name: "images-verify" },
    configPath: "/c",
    dataDir: null,
  });
  assert.deepEqual(parseArguments(["backup", "my file", "--data-dir", "/d"]), {
    command: { name: "backup", file: "my file" },
    configPath: null,
    dataDir: "/d",
  });
  assert.deepEqual(parseArguments(["restore", "-"]).command, { name: "restore", file: "-" });
  assert.equal(parseArguments(["--check-config"]).command.name, "check-config");
  assert.equal(parseArguments(["--generate-config"]).command.name, "generate-config");
  assert.equal(parseArguments(["--version"]).command.name, "version");
  assert.equal(parseArguments(["journal", "verify", "--help"]).command.name, "help");
});

for (const [words, reason] of [
  [["--confg", "x"], /unknown flag --confg/],
  [["--config"], /--config needs a value/],
  [["jurnal"], /unknown command "jurnal"/],
  [["journal", "verify", "--head", "7"], /SEQ:SUM/],
  [["journal", "dump", "--after", "x"], /sequence number/],
  [["journal", "dump", "--since", "yesterday"], /--since is a time/],
  [["journal", "verify", "--type", "host"], /--type does not go with journal verify/],
  [["journal", "compact", "--secrets"], /--secrets does not go with journal compact/],
  [["--head", `7:${SUM}`], /--head does not go with zwrmd/],
  [["images", "verify", "--after", "1"], /does not go with/],
  [["backup"], /backup takes one file, or - for stdout/],
  [["restore", "a", "b"], /restore takes one file, or - for stdin/],
  [["-"], /unknown command "-"/],
] as const) {
  test(`refuses: zwrmd ${words.join(" ").slice(0, 40)}`, () => {
    assert.throws(
      () => parseArguments(words),
      (error) => error instanceof UsageError && reason.test(error.message),
    );
  });
}

test("every command and flag that the parser knows is in --help", () => {
  for (const word of [
    "journal verify",
    "journal dump",
    "journal compact",
    "images verify",
    "backup FILE",
    "restore FILE",
    "--config",
    "--data-dir",
    "--check-config",
    "--generate-config",
    "--version",
    "--help",
    "--head",
    "--after",
    "--actor",
    "--since",
    "--type",
    "--secrets",
  ]) {
    assert.ok(USAGE.includes(word), word);
  }
});
