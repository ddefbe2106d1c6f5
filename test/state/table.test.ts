/** Rows, groups and versions, and the way back from every change. */
import assert from "node:assert/strict";
import test from "node:test";
import { State } from "../../src/state/state.ts";
import { Table, UndoLog } from "../../src/state/table.ts";
import { linesOf } from "../support/rows.ts";

interface Row {
  readonly group: string | null;
  readonly value: number;
}

type Grouped = Table<Row, string, [string]>;

function grouped(): { undo: UndoLog; table: Grouped } {
  const undo = new UndoLog();
  return { undo, table: new Table<Row, string, [string]>("rows", undo, (row) => row.group) };
}

/** Everything that can be seen of a table. */
function viewOf(table: Grouped): unknown {
  const groups = ["a", "b", "c"].map((name) => [name, table.group(name).sort((x, y) => x.value - y.value)]);
  return { size: table.size, rows: [...table.entries()].sort(), groups };
}

test("rows are found by key and by group", () => {
  const { table } = grouped();
  table.set("1", { group: "a", value: 1 });
  table.set("2", { group: "a", value: 2 });
  table.set("3", { group: null, value: 3 });
  assert.equal(table.size, 3);
  assert.deepEqual(table.get("3"), { group: null, value: 3 });
  assert.equal(table.get("4"), undefined);
  assert.deepEqual(
    table
      .group("a")
      .map((row) => row.value)
      .sort(),
    [1, 2],
  );
  assert.deepEqual(table.group("b"), []);
});

test("a row that is replaced or deleted leaves its group", () => {
  const { table } = grouped();
  table.set("1", { group: "a", value: 1 });
  table.set("1", { group: "b", value: 1 });
  assert.deepEqual(table.group("a"), []);
  assert.deepEqual(table.group("b"), [{ group: "b", value: 1 }]);
  table.delete("1");
  table.delete("1");
  assert.deepEqual(table.group("b"), []);
  assert.equal(table.size, 0);
});

test("a group's version changes with every change in it, and only then", () => {
  const { table } = grouped();
  const seen = new Set([table.groupVersion("a")]);
  const change = (run: () => void): void => {
    run();
    assert.ok(!seen.has(table.groupVersion("a")) || table.group("a").length === 0, "a version of other rows came back");
    seen.add(table.groupVersion("a"));
  };
  change(() => table.set("1", { group: "a", value: 1 }));
  change(() => table.set("1", { group: "a", value: 2 }));
  change(() => table.set("2", { group: "a", value: 3 }));
  change(() => table.set("2", { group: "b", value: 3 }));
  change(() => table.delete("1"));
  change(() => table.set("1", { group: "a", value: 9 }));
  const version = table.groupVersion("a");
  table.set("2", { group: "b", value: 4 });
  table.set("3", { group: null, value: 5 });
  assert.equal(table.groupVersion("a"), version);
});

test("a change that is undone gives the group another version, unless it is empty", () => {
  const { undo, table } = grouped();
  table.set("1", { group: "a", value: 1 });
  const before = table.groupVersion("a");
  undo.begin();
  table.set("1", { group: "a", value: 2 });
  undo.abort();
  assert.notEqual(table.groupVersion("a"), before);
  assert.deepEqual(table.group("a"), [{ group: "a", value: 1 }]);
});

test("a table that many groups came to and left keeps nothing of them", () => {
  const { table } = grouped();
  for (let i = 0; i < 1_000; i++) {
    table.set("1", { group: `g-${i}`, value: i });
    table.delete("1");
    assert.equal(table.groupVersion(`g-${i}`), 0);
  }
});

test("abort undoes an insert, a replacement, a deletion and a move between groups, in whatever order they came", () => {
  const { undo, table } = grouped();
  table.set("kept", { group: "a", value: 1 });
  table.set("gone", { group: "b", value: 2 });
  const before = viewOf(table);
  undo.begin();
  table.set("new", { group: "c", value: 3 });
  table.set("kept", { group: "b", value: 4 });
  table.delete("gone");
  table.set("gone", { group: "c", value: 5 });
  table.delete("kept");
  table.set("kept", { group: null, value: 6 });
  undo.abort();
  assert.deepEqual(viewOf(table), before);
});

test("rollBack undoes what is newer than the line that is on disk, newest first, and keeps the rest", () => {
  const { undo, table } = grouped();
  const views: unknown[] = [viewOf(table)];
  for (let seq = 1; seq <= 5; seq++) {
    undo.begin();
    table.set("1", { group: seq % 2 === 0 ? "a" : "b", value: seq });
    table.set(`row ${seq}`, { group: "c", value: seq });
    undo.keep(seq);
    views.push(viewOf(table));
  }
  undo.forget(2);
  undo.rollBack(3);
  assert.deepEqual(viewOf(table), views[3]);
  undo.rollBack(3);
  assert.deepEqual(viewOf(table), views[3]);
  undo.rollBack(0);
  assert.deepEqual(viewOf(table), views[2], "what is forgotten is not undone");
});

test("a seq that was given up can be given again", () => {
  const { undo, table } = grouped();
  for (const value of [1, 2]) {
    undo.begin();
    table.set("1", { group: "a", value });
    undo.keep(7);
    if (value === 1) undo.rollBack(6);
  }
  assert.deepEqual(table.get("1"), { group: "a", value: 2 });
  undo.rollBack(6);
  assert.equal(table.get("1"), undefined);
});

test("what is changed outside of begin and keep, as a replay does, is not undone", () => {
  const { undo, table } = grouped();
  table.set("1", { group: "a", value: 1 });
  undo.abort();
  undo.rollBack(0);
  assert.equal(table.size, 1);
});

test("every table of the state can be undone: inserted, replaced and deleted rows come back as they were", () => {
  const state = new State();
  // Rows of no meaning: tables know none. The groupings read these fields.
  const row = (value: number): object => ({
    host_id: `h-${value % 2}`,
    digest: `d-${value % 2}`,
    user_id: `u-${value % 2}`,
    env: {},
    value,
  });
  for (const table of state.tables) for (let i = 0; i < 4; i++) table.set(`k-${i}`, row(i));
  const before = linesOf(state);
  for (const table of state.tables) {
    state.undo.begin();
    table.set("k-9", row(9));
    table.set("k-0", row(7));
    table.delete("k-1");
    assert.notDeepEqual(linesOf(state), before, table.name);
    state.undo.abort();
    assert.deepEqual(linesOf(state), before, table.name);
    for (const group of ["h-0", "h-1", "d-0", "d-1", "u-0", "u-1"])
      assert.ok([0, 2].includes(table.group(group).length), `${table.name} ${group}`);
  }
});
