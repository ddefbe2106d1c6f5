/** Tests of the values that `zwrm deploy` takes: images, checks, and an environment that is told to nobody. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { VALUE_SEPARATOR } from "../../src/cli/command.ts";
import { CHECK, ENV, IMAGE, readEnvFile } from "../../src/cli/deploy-flags.ts";
import { temporaryFolder, zwrm } from "./support.ts";
import { DIGEST } from "./workloads.ts";

const NOWHERE = { env: { ZWRM_API_URL: "http://127.0.0.1:1" } };

test("takes a digest with or without the algorithm in front, and everything else for a file", () => {
  assert.deepEqual(
    [IMAGE.read(DIGEST), IMAGE.read(DIGEST.slice(7)), IMAGE.read("root.img"), IMAGE.read(`./${DIGEST.slice(7)}`)],
    [{ digest: DIGEST }, { digest: DIGEST }, { file: "root.img" }, { file: `./${DIGEST.slice(7)}` }],
  );
  for (const wrong of ["sha256:12", DIGEST.toUpperCase().replace("SHA", "sha"), ""])
    assert.throws(() => IMAGE.read(wrong), /^Error: must /, wrong);
});

test("reads checks, and refuses what is none", () => {
  const checks: readonly (readonly [string, unknown])[] = [
    ["http:8080", { type: "http", port: 8080 }],
    ["http:1/healthz?a=b", { type: "http", port: 1, path: "/healthz?a=b" }],
    ["tcp:65535", { type: "tcp", port: 65_535 }],
    ["exec:pg_isready  -U postgres", { type: "exec", command: ["pg_isready", "-U", "postgres"] }],
    ['exec:["sh","-c","test -e /up"]', { type: "exec", command: ["sh", "-c", "test -e /up"] }],
  ];
  for (const [text, check] of checks) assert.deepEqual(CHECK.read(text), check, text);
  for (const wrong of [
    "http",
    "http:",
    "http:0",
    "http:65536",
    "http:80 /a",
    "http:80path",
    "tcp:80/a",
    "exec:",
    "exec: ",
    "exec:[",
    "exec:[]",
    "exec:[1]",
    "udp:53",
    "8080",
  ])
    assert.throws(() => CHECK.read(wrong), /^Error: must /, wrong);
});

test("keeps a variable's value as it stands, with commas, blanks, equals signs and newlines", () => {
  const pairs = ["A=1,2", "B= x ", "C=a=b", "D=", "E=one\ntwo", "A=later"];
  assert.deepEqual(ENV.read(pairs.join(VALUE_SEPARATOR)), { A: "later", B: " x ", C: "a=b", D: "", E: "one\ntwo" });
});

test("says of a variable that cannot be read which it is, and never what it holds", async (t) => {
  for (const wrong of ["hunter2", "=hunter2", "1A=hunter2", "A B=hunter2"]) {
    const run = await zwrm(["deploy", "web", "--image", DIGEST, "--env", "A=1", "--env", wrong], NOWHERE);
    assert.deepEqual(
      [run.code, run.err.split("\n")[0]],
      [2, "zwrm: --env must be NAME=VALUE, with a NAME of A-Z a-z 0-9 _; number 2 on the line is not."],
    );
  }
  const path = join(temporaryFolder(t), "env");
  writeFileSync(path, "A=1\n\nhunter2\n");
  const run = await zwrm(["deploy", "web", "--image", DIGEST, "--env-file", path], NOWHERE);
  assert.deepEqual(
    [run.code, run.err],
    [1, `zwrm: Line 3 of ${path} is not NAME=VALUE with a NAME of A-Z a-z 0-9 _.\n`],
  );
});

test(
  "reads a file of variables: comments and empty lines left out, values as they stand, ends of lines of " +
    "any system",
  (t) => {
    const path = join(temporaryFolder(t), "env");
    writeFileSync(path, '\ufeff# a comment\r\nA="quoted"\r\n\r\n   \nB=x # no comment\nA2=$A\n');
    assert.deepEqual(readEnvFile(path), { A: '"quoted"', B: "x # no comment", A2: "$A" });
    assert.throws(() => readEnvFile(`${path}.gone`), { name: "CliError", message: `There is no file ${path}.gone.` });
    assert.throws(() => readEnvFile("/"), { name: "CliError", message: /^\/ cannot be read: / });
  },
);

test("refuses wrong usage before anything is asked", async () => {
  const refused: readonly (readonly [string, string])[] = [
    ["deploy", "APP is missing."],
    ["deploy web", "--image is missing."],
    ["deploy a/b --image x", 'APP must be 1 to 64 of A-Z a-z 0-9 . _ -, not "a/b".'],
    ["deploy web --image sha256:1", '--image must be sha256: and 64 of 0-9 and a-f, or a file, not "sha256:1".'],
    ["deploy web --image x --replicas 10001", '--replicas must be a whole number from 0 to 10000, not "10001".'],
    ["deploy web --image x --cpus 0.5", '--cpus must be a whole number from 1 to 1024, not "0.5".'],
    [
      "deploy web --image x --restart sometimes",
      '--restart must be one of always, on-failure, never, not "sometimes".',
    ],
    ["scale web", "N is missing."],
    ["scale web many", 'N must be a whole number from 0 to 10000, not "many".'],
    ["machines show", "ID is missing."],
  ];
  for (const [line, message] of refused) {
    const run = await zwrm(line.split(" "), NOWHERE);
    assert.equal(run.code, 2, line);
    assert.equal(run.err.split("\n")[0], `zwrm: ${message}`, line);
  }
});
