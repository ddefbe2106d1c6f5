/** The environment that a machine's command gets, to the letter, whatever shell waits for it. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { forShell } from "../../src/agent/exec-command.ts";
import { ExecDriver } from "../../src/agent/exec-driver.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { desired, stayAlive } from "./fakes.ts";

const folder = mkdtempSync(join(tmpdir(), "zwrm-env-"));
after(() => rmSync(folder, { recursive: true, force: true }));
stayAlive(after);

const PATH = "/usr/local/bin:/usr/bin:/bin";
/** What shells have names for, and what the waiter might have. */
const GIVEN = {
  dir: "/somewhere",
  launch: "l-0",
  code: "7",
  run: "r",
  note: "n",
  words: "w",
  IFS: ":",
  PWD: "/nowhere",
  OLDPWD: "/before",
  OPTIND: "abc",
  OPTARG: "x",
  OPTERR: "x",
  PPID: "1",
  SHLVL: "41",
  _: "under",
  LINENO: "x",
  PS1: "> ",
  PS4: "$(exit 1)",
  ENV: "/no/file",
  BASH_ENV: "/no/file",
  SHELLOPTS: "noexec",
  BASHOPTS: "x",
  POSIXLY_CORRECT: "",
  UID: "x",
  EUID: "x",
  RANDOM: "x",
  SECONDS: "x",
  HISTSIZE: "x",
  MAILCHECK: "x",
  TMOUT: "1",
  FUNCNEST: "1",
  GLOBIGNORE: "*",
  EXECIGNORE: "*",
  LC_ALL: "xx_XX",
  LANG: "yy",
  LD_PRELOAD: "",
  COLUMNS: "3",
  LINES: "4",
  REPLY: "r",
  HOME: "/h",
  TERM: "t",
  SECRET: "two\nlines 'and' \"quotes\" $HOME `id` \\",
};

/** What `/proc/self/environ` of the command says. */
async function environmentOf(
  id: string,
  shell: string,
  env: Readonly<Record<string, string>>,
  program = "/bin/cat",
): Promise<Record<string, string>> {
  const driver = new ExecDriver({
    clock: systemClock,
    machinesDir: folder,
    command: [program, "/proc/self/environ"],
    passEnv: true,
    path: PATH,
    shell,
  });
  const machine = await driver.launch({ machine: desired(id, { env }), imagePath: "", launchId: "l-1" });
  const exit = await machine.exited;
  const text = readFileSync(join(folder, id, "console.log"), "utf8");
  assert.deepEqual(exit, { code: 0, detail: null }, text);
  return Object.fromEntries(
    text
      .split("\0")
      .slice(0, -1)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

for (const name of ["dash", "bash", "busybox", "ksh", "mksh"]) {
  const shell = join("/bin", name);
  const isThere = existsSync(shell);
  if (!isThere && !["dash", "bash"].includes(name)) continue;
  test(
    `with ${name} as sh a machine gets every variable as it was given, and none beside`,
    { skip: isThere ? false : `there is no ${shell}` },
    async () => {
      mkdirSync(join(folder, name));
      symlinkSync(shell, join(folder, name, "sh"));
      for (const [at, env] of [GIVEN, {}].entries()) {
        const id = `m-${name}-${at}`;
        const found = await environmentOf(id, join(folder, name, "sh"), env);
        const own = { ZWRM_MACHINE_ID: id, ZWRM_MACHINE_DIR: join(folder, id), ZWRM_LAUNCH_ID: "l-1" };
        // Node hands this one on to every child where it measures coverage itself.
        delete found["NODE_V8_COVERAGE"];
        assert.deepEqual(found, { PATH, TMPDIR: join(folder, id, "work"), ...env, ...own });
      }
    },
  );
}

test("a value whose name no shell knows stands in nobody's words", () => {
  const { words, env } = forShell(["/bin/x", "y"], GIVEN);
  assert.equal(env["SECRET"], GIVEN.SECRET);
  assert.ok(words.every((word) => !word.includes("two\nlines")));
  assert.ok(!("IFS" in env) && words.includes("IFS=:"));
  for (const name of [
    "DATABASE_URL",
    "PASSWORD",
    "HOME",
    "TERM",
    "USER",
    "LDAP_PASSWORD",
    "HISTORY_TOKEN",
    "MAILGUN_KEY",
    "COMPANY_SECRET",
    "BASHFUL",
    "KSHITIJ",
    "LCD",
    "LD_SDK_KEY",
    "LC_TOKEN",
  ]) {
    assert.ok(name in forShell(["x"], { [name]: "v" }).env, name);
  }
});

test("a program with an equals sign in its name is run, not taken for a variable", async () => {
  const program = join(folder, "a=b");
  writeFileSync(program, '#!/bin/sh\nexec /bin/cat "$1"\n', { mode: 0o700 });
  const found = await environmentOf("m-equals", "/bin/sh", { GREETING: "hello" }, program);
  assert.equal(found["GREETING"], "hello");
});
