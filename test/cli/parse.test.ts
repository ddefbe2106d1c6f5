/** Tests of the command line's grammar, its help and its table of commands. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  command,
  listFlag,
  secondsFlag,
  switchFlag,
  textFlag,
  VALUE_SEPARATOR,
  wholeFlag,
} from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { helpFor } from "../../src/cli/help.ts";
import { UsageError } from "../../src/cli/io.ts";
import { GLOBAL_FLAGS, parse } from "../../src/cli/parse.ts";
import { VERSION } from "../../src/lib/version.ts";
import { zwrm } from "./support.ts";

const read = (text: string): string => text;
const none = async (): Promise<number> => 0;
const apps = command({ name: "apps", summary: "list apps", args: {}, flags: {}, run: none });
const appsCreate = command({
  name: "apps create",
  summary: "make an app",
  args: { name: { placeholder: "NAME", help: "its name", read } },
  flags: { force: switchFlag("yes") },
  run: none,
});
const log = command({
  name: "log",
  summary: "show",
  args: { first: { placeholder: "A", help: "", read }, second: { placeholder: "B", help: "", read } },
  flags: { tail: textFlag("N", "") },
  run: none,
});
const TABLE = [apps, appsCreate, log];

function parsed(line: string) {
  const { command: found, topic, globals, given, problem } = parse(line.split(" ").filter(Boolean), TABLE);
  return {
    name: found?.name ?? null,
    topic: topic.join(" "),
    globals: Object.fromEntries(globals),
    flags: Object.fromEntries(given.flags),
    words: given.words,
    problem: problem?.message ?? null,
  };
}

test("takes global flags anywhere on the line, in both ways of writing", () => {
  const expected = {
    name: "apps create",
    topic: "apps create",
    globals: { org: "acme", json: true, verbose: true, "api-url": "http://x" },
    flags: { force: true },
    words: ["web"],
    problem: null,
  };
  assert.deepEqual(parsed("--org acme apps --json create -v web --api-url=http://x --force"), expected);
  assert.deepEqual(parsed("--json -v --org=acme --api-url http://x apps create --force web"), expected);
});

test("takes the longest command, and everything after -- as words", () => {
  assert.deepEqual([parsed("apps").name, parsed("apps create").name], ["apps", "apps create"]);
  assert.deepEqual(parsed("log -- --tail apps").words, ["--tail", "apps"]);
  assert.deepEqual(parsed("log log apps").words, ["log", "apps"]);
  const { name, words } = parsed("log x apps");
  assert.deepEqual([name, words], ["log", ["x", "apps"]]);
});

test("lets the last of two flags win, and keeps an inline value as it is", () => {
  assert.deepEqual(parsed("log --tail=1 --tail -x").problem, "--tail needs a value: --tail=N.");
  assert.deepEqual(parsed("log --tail=1 --tail=-x=y").flags, { tail: "-x=y" });
});

test(
  "behind a group's bare name takes no word for a command of the group that there is not, and no flag " +
    "that the command does not have",
  () => {
    const refused: readonly (readonly [string, string])[] = [
      ["apps craete web", 'There is no command "zwrm apps craete". Did you mean "create"?'],
      ["apps lost", 'There is no command "zwrm apps lost". "zwrm apps" alone does: list apps.'],
      ["apps x create", 'There is no command "zwrm apps x". "zwrm apps" alone does: list apps.'],
    ];
    for (const [line, message] of refused) assert.equal(parsed(line).problem, message, line);
    const list = command({ name: "things", summary: "list", args: {}, flags: { app: textFlag("A", "") }, run: none });
    const show = command({
      name: "things show",
      summary: "show",
      args: { id: { placeholder: "ID", help: "", read } },
      flags: {},
      run: none,
    });
    const problemOf = (line: string) => parse(line.split(" "), [list, show]).problem?.message ?? null;
    assert.equal(problemOf("things --app web"), null);
    assert.equal(problemOf("things --app web show t-1"), "There is no flag --app for zwrm things show.");
  },
);

test("says nothing of what a secret flag was given where it cannot be read", () => {
  const strict = command({
    name: "x",
    summary: "",
    args: {},
    flags: {
      env: {
        ...textFlag("E", ""),
        secret: true,
        read: () => {
          throw new Error("must be NAME=VALUE");
        },
      },
    },
    run: none,
  });
  assert.throws(() => strict.prepare({ words: [], flags: new Map([["env", "hunter2"]]) }), {
    name: "UsageError",
    message: "--env must be NAME=VALUE.",
  });
});

test("gathers the values of a flag that repeats, each whole, and takes a lone dash as a value", () => {
  const keys = command({
    name: "keys",
    summary: "",
    args: {},
    flags: { scope: listFlag("S", ""), token: textFlag("T", "") },
    run: none,
  });
  const given = parse("keys --scope a --scope=b,c --token - --scope d".split(" "), [keys]).given.flags;
  assert.deepEqual(Object.fromEntries(given), { scope: ["a", "b,c", "d"].join(VALUE_SEPARATOR), token: "-" });
  assert.deepEqual(listFlag("S", "").read(String(given.get("scope"))), ["a", "b", "c", "d"]);
});

test("after -- a word names no command, so that a thing may be called like one", () => {
  assert.deepEqual([parsed("apps -- create").name, parsed("apps -- create").words], ["apps", ["create"]]);
});

test("says what is wrong and suggests what was meant", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["", "zwrm needs a command."],
    ["logs", 'There is no command "zwrm logs". Did you mean "log"?'],
    ["xyzzy", 'There is no command "zwrm xyzzy".'],
    ["apps create x --forec", 'There is no flag --forec for zwrm apps create. Did you mean "--force"?'],
    ["--api-ulr x log", 'There is no flag --api-ulr. Did you mean "--api-url"?'],
    ["log -x", "There is no flag -x for zwrm log."],
    ["log --json=yes", "--json takes no value."],
    ["log --org", "--org needs a value: --org=ORG."],
    ["log --org --json", "--org needs a value: --org=ORG."],
    ["log --constructor", "There is no flag --constructor for zwrm log."],
  ];
  for (const [line, message] of refused) assert.equal(parsed(line).problem, message, line);
});

test("refuses missing and extra words, and values that cannot be read, before anything is done", () => {
  assert.throws(() => log.prepare({ words: ["1"], flags: new Map() }), {
    name: "UsageError",
    message: "B is missing.",
  });
  const maybe = command({
    name: "y",
    summary: "",
    args: { a: { placeholder: "[A]", help: "", absent: "", read } },
    flags: {},
    run: async (_session, { a }) => a.length,
  });
  assert.doesNotThrow(() => maybe.prepare({ words: [], flags: new Map() }));
  assert.throws(() => log.prepare({ words: ["1", "2", "3"], flags: new Map() }), {
    name: "UsageError",
    message: '"3" is one word too many.',
  });
  const flags = { n: wholeFlag("N", "", { min: 1, max: 10 }), t: secondsFlag("TIME", "") };
  const strict = command({ name: "x", summary: "", args: {}, flags, run: none });
  for (const [name, value] of [
    ["n", "0"],
    ["n", "11"],
    ["n", "1.5"],
    ["n", "1e1"],
    ["t", "10"],
    ["t", "0s"],
    ["t", "1.5s"],
    ["t", "500ms"],
  ] as const) {
    assert.throws(
      () => strict.prepare({ words: [], flags: new Map([[name, value]]) }),
      (error: Error) => error instanceof UsageError && error.message.endsWith(`not "${value}".`),
      `${name} ${value}`,
    );
  }
});

test("gives a command its values read", async () => {
  const flags = {
    n: wholeFlag("N", "", { min: 1, max: 10 }),
    t: secondsFlag("TIME", ""),
    on: switchFlag(""),
    off: switchFlag(""),
    gone: textFlag("X", ""),
  };
  let got: unknown;
  const run = async (_session: unknown, args: unknown, values: unknown): Promise<number> => {
    got = [args, values];
    return 7;
  };
  const start = command({
    name: "x",
    summary: "",
    args: { a: { placeholder: "A", help: "", read: Number } },
    flags,
    run,
  }).prepare({
    words: ["5"],
    flags: new Map<string, string | true>([
      ["n", "10"],
      ["t", "1m30s"],
      ["on", true],
    ]),
  });
  // The command above looks at no session.
  assert.equal(await start(undefined as never), 7);
  assert.deepEqual(got, [{ a: 5 }, { n: 10, t: 90, on: true, off: false, gone: null }]);
});

test("every command of the table has a name of its own, help, and no flag that hides a global one", () => {
  const names = COMMANDS.map((one) => one.name);
  assert.deepEqual(names, [...new Set(names)]);
  for (const one of COMMANDS) {
    assert.match(one.summary, /^[a-z].*[^.]$/, one.name);
    for (const flag of Object.keys(one.flags)) assert.ok(!Object.hasOwn(GLOBAL_FLAGS, flag), `${one.name} --${flag}`);
    const help = helpFor(one.name.split(" "), COMMANDS);
    assert.ok(help.startsWith(`zwrm ${one.name}: ${one.summary}\n`), one.name);
    for (const flag of [...Object.keys(one.flags), ...Object.keys(GLOBAL_FLAGS)])
      assert.match(help, new RegExp(`^  (-., )?--${flag}\\b`, "m"), `${one.name} --${flag}`);
    for (const { placeholder } of Object.values(one.args))
      assert.ok(help.includes(`\n  ${placeholder} `), `${one.name} ${placeholder}`);
  }
});

test("has the documented commands", () => {
  const documented = [
    "host list",
    "host status",
    "host drain",
    "host drain-status",
    "host undrain",
    "host activate",
    "host rm",
    "host unbind-key",
    "host replace-lost",
    "image push",
    "image list",
    "image rm",
    "status",
  ];
  const identity = [
    "auth login",
    "auth logout",
    "auth whoami",
    "auth tokens create",
    "auth tokens list",
    "auth tokens revoke",
    "user create",
    "user list",
    "user passwd",
    "user remove",
    "events",
  ];
  documented.push(
    "apps",
    "apps create",
    "apps rm",
    "apps show",
    "deploy",
    "scale",
    "machines",
    "machines show",
    "machines stop",
    "machines start",
    "machines rm",
    "machines explain",
  );
  documented.push(...identity, "org create", "org list", "org members", "org members set", "org members remove");
  documented.push("quota", "quota set");
  assert.deepEqual(COMMANDS.map((one) => one.name).sort(), documented.sort());
});

test("shows help at --help, -h and help, for all, a group or one command, and exits 0", async () => {
  const all = await zwrm(["--help"]);
  for (const one of COMMANDS) assert.match(all.out, new RegExp(`^  ${one.name}`, "m"));
  assert.deepEqual([all.code, all.err], [0, ""]);
  assert.deepEqual(await zwrm(["help"]), all);
  const group = await zwrm(["host", "-h"]);
  assert.match(group.out, /^zwrm host: 9 commands\n/);
  assert.match(group.out, /^"zwrm host" alone is "zwrm host list"\.$/m);
  assert.match(all.out, /ls is list/);
  assert.doesNotMatch(group.out, /image push/);
  const bare = await zwrm(["apps", "-h"]);
  assert.match(bare.out, /^zwrm apps: list the org's apps\n\nUsage: zwrm apps\n/);
  assert.match(bare.out, /^Further commands:\n {2}apps create NAME .*\n {2}apps show /m);
  const one = await zwrm(["host", "drain", "--help"]);
  assert.match(one.out, /^Usage: zwrm host drain ID \[flags\]$/m);
  for (const argv of [
    ["help", "host", "drain"],
    ["--help", "host", "drain"],
    ["host", "drain", "h-1", "--nonsense", "--help"],
  ])
    assert.deepEqual(await zwrm(argv), one);
});

test("exits 2 with the reason and where to look, and does not call the API, where the usage is wrong", async () => {
  const world = { env: { ZWRM_API_URL: "http://127.0.0.1:1" } };
  const refused: readonly (readonly [string, string])[] = [
    ["", 'zwrm: zwrm needs a command.\nRun "zwrm --help" for what there is.\n'],
    ["auth", 'zwrm: zwrm auth needs a command.\nRun "zwrm auth --help" for what there is.\n'],
    ["apps list x", 'zwrm: "x" is one word too many.\nRun "zwrm apps --help" for what there is.\n'],
    ["apps list create", 'zwrm: "create" is one word too many.\nRun "zwrm apps --help" for what there is.\n'],
    [
      "hosts x",
      'zwrm: There is no command "zwrm host x". "zwrm host list" alone does: list the hosts with their ' +
        'status and what is allocated on them.\nRun "zwrm host --help" for what there is.\n',
    ],
    [
      "host lst",
      'zwrm: There is no command "zwrm host lst". Did you mean "list"?\nRun "zwrm host --help" for what there is.\n',
    ],
    [
      "hots --help",
      'zwrm: There is no command "zwrm hots". Did you mean "host"?\nRun "zwrm --help" for what there is.\n',
    ],
    ["host status", 'zwrm: ID is missing.\nRun "zwrm host status --help" for what there is.\n'],
    [
      "host list --status gone",
      'zwrm: --status must be one of active, draining, maintenance, offline, not "gone".\nRun "zwrm host ' +
        'list --help" for what there is.\n',
    ],
    [
      "image rm sha256:12",
      "zwrm: DIGEST must be sha256: and 64 of 0-9 and a-f, or the first twelve or more of them, not " +
        '"sha256:12".\nRun "zwrm image rm --help" for what there is.\n',
    ],
    [
      "image push x --app a/b",
      'zwrm: --app must be 1 to 64 of A-Z a-z 0-9 . _ -, not "a/b".\nRun "zwrm image push --help" for what there is.\n',
    ],
    ["status --org=", 'zwrm: --org must not be empty, not "".\nRun "zwrm status --help" for what there is.\n'],
  ];
  for (const [line, err] of refused)
    assert.deepEqual(await zwrm(line.split(" ").filter(Boolean), world), { code: 2, out: "", err }, line);
});

test("shows its version", async () => {
  for (const word of ["--version", "version"])
    assert.deepEqual(await zwrm([word]), { code: 0, out: `zwrm ${VERSION}\n`, err: "" });
});

test("takes the obvious form of a command for the command", () => {
  const forms: Readonly<Record<string, string>> = {
    host: "host list",
    hosts: "host list",
    image: "image list",
    images: "image list",
    org: "org list",
    orgs: "org list",
    user: "user list",
    users: "user list",
    app: "apps",
    apps: "apps",
    machine: "machines",
    machines: "machines",
    "auth tokens": "auth tokens list",
    "host ls": "host list",
    "hosts list": "host list",
    "images ls": "image list",
    "apps list": "apps",
    "app ls": "apps",
    "machines list": "machines",
    "machine ls": "machines",
    "hosts --status active": "host list",
    "machines --all ls": "machines",
    "host show h-1": "host status",
    "machine delete m-1": "machines rm",
    "app remove web": "apps rm",
    "image delete x": "image rm",
    "users rm ann": "user remove",
    "org member rm acme ann": "org members remove",
    "auth token ls": "auth tokens list",
  };
  for (const [line, name] of Object.entries(forms)) {
    const { command: found, problem } = parse(line.split(" "), COMMANDS);
    assert.deepEqual([found?.name, problem?.message], [name, undefined], line);
  }
});
