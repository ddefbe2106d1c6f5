import assert from "node:assert/strict";
import { test } from "node:test";
import { workerUrl } from "../../src/lib/worker-url.ts";

test("a worker stands beside its module, built or not", () => {
  assert.equal(workerUrl("w", "file:///opt/zwrm/dist/state/x.js", false).href, "file:///opt/zwrm/dist/state/w.js");
  assert.equal(workerUrl("w", "file:///src/zwrm/src/state/x.ts", true).href, "file:///src/zwrm/src/state/w.ts");
});

test("from sources, on a Node whose threads run none, the build's worker is taken", () => {
  assert.equal(workerUrl("w", "file:///src/zwrm/src/state/x.ts", false).href, "file:///src/zwrm/dist/state/w.js");
});
