/** All documents: their links lead somewhere, and what they claim to have measured names the script that prints it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { anchorsOf, DOCUMENTS, linksOf, paragraphsOf, ROOT, spansOf } from "./documents.ts";
import { unproven } from "./figures.ts";

/** Why a link leads nowhere, or null. */
function brokenLink(path: string, target: string): string | null {
  const [file = "", anchor] = target.split("#", 2);
  const to = file === "" ? path : posix.normalize(posix.join(posix.dirname(path), decodeURI(file)));
  if (to.startsWith("..") || !existsSync(join(ROOT, to))) return `${target}: there is no ${to}`;
  if (anchor === undefined) return null;
  const named = anchorsOf(DOCUMENTS.get(to) ?? "").filter((name) => name === anchor);
  return named.length === 1 ? null : `${target}: ${to} has ${named.length} headings of that name`;
}

test("there are documents in every place that has some", () => {
  for (const path of ["README.md", "CHANGELOG.md", "test/README.md", "src/journal/FORMAT.md", "src/api/REFERENCE.md"])
    assert.ok(DOCUMENTS.has(path), path);
});

for (const [path, text] of DOCUMENTS) {
  test(`every link of ${path} leads to a file and a heading that are there`, () => {
    assert.deepEqual(
      linksOf(text)
        .map((target) => brokenLink(path, target))
        .filter((one) => one !== null),
      [],
    );
  });

  test(`every figure that ${path} claims to have measured names the script that prints it`, () => {
    assert.deepEqual(unproven(text), []);
  });

  test(`every fenced block of ${path} is closed`, () => {
    assert.equal((text.match(/^```/gm) ?? []).length % 2, 0);
  });
}

test("what a link may lead to is seen", () => {
  assert.equal(brokenLink("README.md", "src/journal/FORMAT.md#a-snapshot"), null);
  assert.equal(brokenLink("src/wire/PROTOCOL.md", "agents.ts"), null);
  assert.match(brokenLink("README.md", "src/journal/FORMATS.md") ?? "", /there is no src\/journal\/FORMATS\.md/);
  assert.match(brokenLink("README.md", "src/journal/FORMAT.md#a-snapshots") ?? "", /0 headings/);
  assert.match(brokenLink("README.md", "../elsewhere.md") ?? "", /there is no/);
  assert.deepEqual(linksOf("[a](b.md#c) `[d](e.md)` [f](https://g.example)\n```\n[h](i.md)\n```\n"), ["b.md#c"]);
  assert.deepEqual(anchorsOf("## Error codes\n### GET /v1/hosts/{host_id}\n"), ["error-codes", "get-v1hostshost_id"]);
});

const CLAIMED = [
  "It takes 4,000 heartbeats a second.",
  "A push runs at 95.7 MiB/s.",
  "The median is 3.1 ms.",
  "An idle fleet costs about 40 MB.",
  "A start takes 1.2 s with a million lines.",
  "It is 30 % faster than before.",
  "All hosts were online within 985 ms.",
];
const NOT_CLAIMED = [
  "It waits 30 s at most, then 1 s doubling to 5 min.",
  "`hosts.offline_after` is 30 s by default.",
  "An agent may beat at most 5 times a second.",
  "A segment has 64 MiB.",
  "Hosts beat every 10 s.",
];

test("a figure that is claimed to be measured is seen, and no setting is taken for one", () => {
  for (const sentence of CLAIMED) {
    assert.deepEqual(unproven(sentence), [sentence]);
    assert.deepEqual(unproven(`${sentence} \`scripts/bench/heartbeats.ts\` prints it.`), []);
    assert.deepEqual(unproven(`- ${sentence}\n- \`scripts/bench/heartbeats.ts\` prints another.`).length, 1);
  }
  for (const sentence of NOT_CLAIMED) assert.deepEqual(unproven(sentence), [], sentence);
});

test("a paragraph is whole, and the items of a list are apart", () => {
  assert.deepEqual(paragraphsOf("a\nb\n\n- c\n  d\n- e\n```sh\nf\n```\n| g |\n"), ["a b", "- c d", "- e", "| g |"]);
  assert.deepEqual(spansOf("`a\nb` c `d`"), ["a b", "d"]);
});

/** What npm packs, and what install.sh puts beside the program. */
test("the documents that README.md leads to travel with the program", () => {
  const { files } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly files: readonly string[];
  };
  const install = readFileSync(join(ROOT, "scripts/install.sh"), "utf8");
  const installed = /^DOCUMENTS="([^"]+)"$/m.exec(install)?.[1]?.split(/\s+/) ?? [];
  const targets = ["README.md", ...linksOf(DOCUMENTS.get("README.md") ?? "")].map(
    (target) => target.split("#")[0] ?? "",
  );
  for (const target of new Set(targets)) {
    assert.ok(statSync(join(ROOT, target)).isFile(), target);
    assert.ok(
      files.some((name) => target === name || target.startsWith(`${name}/`)),
      `${target} is packed`,
    );
    assert.ok(installed.includes(target), `${target} is installed`);
  }
  for (const path of installed) assert.ok(existsSync(join(ROOT, path)), path);
});
