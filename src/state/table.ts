/** Rows by key with a way back: every change can be undone until the journal has it on disk. Knows no row's meaning. */

/**
 * What puts the state back to what was acknowledged: the old row of every change that is not yet durable, oldest first.
 */
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

/** The group that a row belongs to, or null for none. */
type GroupOf<V, G extends string = string> = (row: V) => G | null;
/** What a row counts in its group's sum. */
type WeightOf<V> = (row: V) => number;
/** Rows that are grouped, and added up a group. */
interface Weighed<V, G extends string = string> {
  readonly of: GroupOf<V, G>;
  readonly weight: WeightOf<V>;
}
type How<V, G extends string = string> = GroupOf<V, G> | Weighed<V, G>;

/** A grouping for each of the kinds of names that groups have. */
type Groupings<V, G extends readonly string[]> = { readonly [N in keyof G]: How<V, G[N]> };

/** The rows of each group, with a version a group, so that what is derived from a group can be cached. */
class Grouping<V> {
  readonly #of: GroupOf<V>;
  readonly #weight: WeightOf<V> | null;
  /** Only groups that have rows. */
  readonly #groups = new Map<string, { version: number; weight: number; readonly rows: Map<string, V> }>();
  /** The newest version of any group, so that a group that was empty for a while never repeats one. */
  #version = 0;

  constructor(how: How<V>) {
    this.#of = typeof how === "function" ? how : how.of;
    this.#weight = typeof how === "function" ? null : how.weight;
  }

  size(name: string): number {
    return this.#groups.get(name)?.rows.size ?? 0;
  }

  weight(name: string): number {
    return this.#groups.get(name)?.weight ?? 0;
  }

  rows(name: string): V[] {
    const group = this.#groups.get(name);
    return group === undefined ? [] : [...group.rows.values()];
  }

  version(name: string): number {
    return this.#groups.get(name)?.version ?? 0;
  }

  /** The row of a key is another now; undefined stands for none. */
  change(key: string, before: V | undefined, row: V | undefined): void {
    const from = before === undefined ? null : this.#of(before);
    const to = row === undefined ? null : this.#of(row);
    if (from !== null && from !== to) this.#take(key, from);
    if (to === null || row === undefined) return;
    const group = this.#groups.get(to) ?? { version: 0, weight: 0, rows: new Map<string, V>() };
    group.version = ++this.#version;
    if (this.#weight !== null) group.weight += this.#weight(row) - this.#weightIn(group.rows, key);
    group.rows.set(key, row);
    this.#groups.set(to, group);
  }

  clear(): void {
    this.#groups.clear();
  }

  #weightIn(rows: ReadonlyMap<string, V>, key: string): number {
    const row = rows.get(key);
    return this.#weight === null || row === undefined ? 0 : this.#weight(row);
  }

  #take(key: string, name: string): void {
    const group = this.#groups.get(name);
    if (group === undefined) return;
    group.version = ++this.#version;
    group.weight -= this.#weightIn(group.rows, key);
    group.rows.delete(key);
    if (group.rows.size === 0) this.#groups.delete(name);
  }
}

/**
 * Rows by key, grouped in one or more ways (machines by host, and by app). `K` is the type of its keys, `G` those of
 * the names of its groups: to ask with the id of another thing does not compile.
 */
export class Table<V, K extends string = string, G extends readonly string[] = readonly []> {
  readonly name: string;
  readonly #undo: UndoLog;
  readonly #groupings: readonly Grouping<V>[];
  readonly #rows = new Map<K, V>();

  /**
   * `groupings`: how the rows are grouped; `group` and `groupVersion` name one by its place, the first where they name
   * none.
   */
  constructor(name: string, undo: UndoLog, ...groupings: Groupings<V, G>) {
    this.name = name;
    this.#undo = undo;
    this.#groupings = groupings.map((how) => new Grouping(how));
  }

  get size(): number {
    return this.#rows.size;
  }

  /** The row of a key; null, where there is nobody to ask for, has none. */
  get(key: K | null): V | undefined {
    return key === null ? undefined : this.#rows.get(key);
  }

  /** The row whose key is this text, which may be none: a person names a thing by its id or its name. */
  find(text: string): V | undefined {
    return this.#rows.get(text as K);
  }

  keys(): IterableIterator<K> {
    return this.#rows.keys();
  }

  values(): IterableIterator<V> {
    return this.#rows.values();
  }

  entries(): IterableIterator<[K, V]> {
    return this.#rows.entries();
  }

  /** The rows of one group, in no order. */
  group(name: G[0]): V[];
  group<N extends number>(name: G[N], grouping: N): V[];
  group(name: string, grouping = 0): V[] {
    return this.#groupings[grouping]?.rows(name) ?? [];
  }

  groupSize(name: G[0]): number;
  groupSize<N extends number>(name: G[N], grouping: N): number;
  groupSize(name: string, grouping = 0): number {
    return this.#groupings[grouping]?.size(name) ?? 0;
  }

  /** What the rows of one group add up to; 0 where the grouping has no weight. */
  groupWeight<N extends number>(name: G[N], grouping: N): number;
  groupWeight(name: string, grouping: number): number {
    return this.#groupings[grouping]?.weight(name) ?? 0;
  }

  /** Differs after every change in the group; equal versions mean equal rows. 0 where the group is empty. */
  groupVersion(name: G[0]): number;
  groupVersion<N extends number>(name: G[N], grouping: N): number;
  groupVersion(name: string, grouping = 0): number {
    return this.#groupings[grouping]?.version(name) ?? 0;
  }

  set(key: K, row: V): void {
    const before = this.#rows.get(key);
    this.#undo.record(() => this.#put(key, before));
    this.#put(key, row);
  }

  delete(key: K): void {
    const before = this.#rows.get(key);
    if (before === undefined) return;
    this.#undo.record(() => this.#put(key, before));
    this.#put(key, undefined);
  }

  clear(): void {
    this.#rows.clear();
    for (const grouping of this.#groupings) grouping.clear();
  }

  #put(key: K, row: V | undefined): void {
    const before = this.#rows.get(key);
    if (row === undefined) this.#rows.delete(key);
    else this.#rows.set(key, row);
    for (const grouping of this.#groupings) grouping.change(key, before, row);
  }
}
