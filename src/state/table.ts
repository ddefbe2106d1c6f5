/** Rows by key with a way back: every change can be undone until the journal has it on disk. Knows no row's meaning. */

/** What puts the state back to what was acknowledged: the old row of every change that is not yet durable, oldest first. */
export class UndoLog {
  #kept: { seq: number; steps: (() => void)[] }[] = [];
  #open: (() => void)[] | null = null;

  /** From here on changes are recorded, until `keep` or `abort`. Outside of that (replay, snapshots) nothing is. */
  begin(): void {
    this.#open = [];
  }

  record(step: () => void): void {
    this.#open?.push(step);
  }

  /** The changes since `begin` belong to the line `seq`. */
  keep(seq: number): void {
    if (this.#open !== null) this.#kept.push({ seq, steps: this.#open });
    this.#open = null;
  }

  /** Undoes the changes since `begin`. */
  abort(): void {
    const steps = this.#open ?? [];
    this.#open = null;
    for (const step of steps.reverse()) step();
  }

  /** Everything up to `seq` is on disk: its way back is not needed any more. */
  forget(seq: number): void {
    const first = this.#kept.findIndex((change) => change.seq > seq);
    this.#kept = first === -1 ? [] : this.#kept.slice(first);
  }

  /** Undoes every change of a seq greater than `seq`, newest first. */
  rollBack(seq: number): void {
    for (let change = this.#kept.at(-1); change !== undefined && change.seq > seq; change = this.#kept.at(-1)) {
      this.#kept.pop();
      for (const step of change.steps.reverse()) step();
    }
  }
}

/** Rows by key, with at most one grouping (machines by host) and a version a group, so that what is derived from a group can be cached. */
export class Table<V> {
  readonly name: string;
  readonly #undo: UndoLog;
  readonly #groupOf: (row: V) => string | null;
  readonly #rows = new Map<string, V>();
  /** Only groups that have rows. */
  readonly #groups = new Map<string, { version: number; keys: Set<string> }>();
  /** The newest version of any group, so that a group that was empty for a while never repeats one. */
  #version = 0;

  constructor(name: string, undo: UndoLog, groupOf: (row: V) => string | null = () => null) {
    this.name = name;
    this.#undo = undo;
    this.#groupOf = groupOf;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): V | undefined {
    return this.#rows.get(key);
  }

  values(): IterableIterator<V> {
    return this.#rows.values();
  }

  entries(): IterableIterator<[string, V]> {
    return this.#rows.entries();
  }

  /** The rows of one group, in no order. */
  group(name: string): V[] {
    const rows: V[] = [];
    for (const key of this.#groups.get(name)?.keys ?? []) {
      const row = this.#rows.get(key);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  /** Differs after every change in the group; equal versions mean equal rows. 0 where the group is empty. */
  groupVersion(name: string): number {
    return this.#groups.get(name)?.version ?? 0;
  }

  set(key: string, row: V): void {
    const before = this.#rows.get(key);
    this.#undo.record(() => this.#put(key, before));
    this.#put(key, row);
  }

  delete(key: string): void {
    const before = this.#rows.get(key);
    if (before === undefined) return;
    this.#undo.record(() => this.#put(key, before));
    this.#put(key, undefined);
  }

  clear(): void {
    this.#rows.clear();
    this.#groups.clear();
  }

  #put(key: string, row: V | undefined): void {
    const before = this.#rows.get(key);
    if (before !== undefined) this.#regroup(this.#groupOf(before), (keys) => keys.delete(key));
    if (row === undefined) this.#rows.delete(key);
    else {
      this.#rows.set(key, row);
      this.#regroup(this.#groupOf(row), (keys) => keys.add(key));
    }
  }

  #regroup(name: string | null, change: (keys: Set<string>) => void): void {
    if (name === null) return;
    const group = this.#groups.get(name) ?? { version: 0, keys: new Set<string>() };
    group.version = ++this.#version;
    change(group.keys);
    if (group.keys.size === 0) this.#groups.delete(name);
    else this.#groups.set(name, group);
  }
}
