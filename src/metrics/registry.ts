/**
 * Counters, gauges and histograms, and the registry that holds them; never formats them (text.ts) and has never heard
 * of hosts.
 */

/** One row of a metrics table. Names and labels follow the rules that `promtool check metrics` holds. */
export type MetricSpec = ScalarSpec | HistogramSpec;

interface SpecBase {
  readonly name: string;
  readonly help: string;
  /** The label names, in the order of the values given to `labels(...)`. */
  readonly labels: readonly string[];
  /** Label values whose series stand at 0 from the start, so that an alert sees a zero and not an absence. */
  readonly presets?: readonly (readonly string[])[];
  /** Distinct series kept; whatever comes after that is counted in one series with every label `other`. */
  readonly maxSeries?: number;
}

interface ScalarSpec extends SpecBase {
  readonly type: "counter" | "gauge";
}

interface HistogramSpec extends SpecBase {
  readonly type: "histogram";
  /** Upper bounds, rising, without +Inf. */
  readonly buckets: readonly number[];
}

export const DEFAULT_MAX_SERIES = 1_000;
const OTHER = "other";
const METRIC_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

/** A total that only rises. */
export class Counter {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** Adds `by`. Throws RangeError where that would lower the counter. */
  inc(by = 1): void {
    if (!(by >= 0)) throw new RangeError(`a counter cannot grow by ${by}`);
    this.#value += by;
  }

  /** Takes over a total that is counted elsewhere; one that is lower than before is ignored. */
  raiseTo(total: number): void {
    if (total > this.#value) this.#value = total;
  }
}

/** A value that comes and goes. */
export class Gauge {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  set(value: number): void {
    this.#value = value;
  }

  inc(by = 1): void {
    this.#value += by;
  }

  dec(by = 1): void {
    this.#value -= by;
  }
}

/** Observations sorted into buckets. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Observations in each bucket alone, not cumulative; the last one is +Inf. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  get sum(): number {
    return this.#sum;
  }

  /** Observations at or below each bound; the last one, +Inf, is the count of all. */
  get cumulative(): number[] {
    let total = 0;
    return this.#counts.map((count) => (total += count));
  }

  /** Counts one value. NaN is not counted: it would make the sum useless for ever. */
  observe(value: number): void {
    if (Number.isNaN(value)) return;
    let index = 0;
    for (const bound of this.bounds) {
      if (value <= bound) break;
      index += 1;
    }
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
  }
}

export type Child = Counter | Gauge | Histogram;
type LabelValues<L extends readonly string[]> = { readonly [K in keyof L]: string };

/** All series of one labelled metric. Resolve a child once and keep it: `labels` costs a map lookup. */
export class Family<C extends Child, L extends readonly string[]> {
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly child: C }>();
  readonly #make: () => C;
  readonly #names: L;
  readonly #max: number;

  constructor(names: L, make: () => C, max: number) {
    this.#names = names;
    this.#make = make;
    this.#max = max;
  }

  /**
   * The series with these label values, one for each label name; the `other` one when `maxSeries` are there already.
   */
  labels(...values: LabelValues<L>): C {
    return this.#resolve(values);
  }

  *series(): Iterable<readonly [values: readonly string[], child: C]> {
    for (const { values, child } of this.#series.values()) yield [values, child];
  }

  #resolve(values: readonly string[]): C {
    const key = seriesKey(values);
    const known = this.#series.get(key);
    if (known !== undefined) return known.child;
    if (this.#series.size < this.#max) return this.#add(key, values);
    const others = this.#names.map(() => OTHER);
    const otherKey = seriesKey(others);
    return this.#series.get(otherKey)?.child ?? this.#add(otherKey, others);
  }

  #add(key: string, values: readonly string[]): C {
    if (values.length !== this.#names.length)
      throw new RangeError(`${values.length} label values for the labels ${this.#names.join(", ")}`);
    const child = this.#make();
    this.#series.set(key, { values: [...values], child });
    return child;
  }
}

/**
 * Each value behind its length: no separator that a value could contain, so two lists share a key only where they are
 * equal.
 */
function seriesKey(values: readonly string[]): string {
  let key = "";
  for (const value of values) key += `${value.length}:${value}`;
  return key;
}

type ChildOf<S extends MetricSpec> = S extends HistogramSpec
  ? Histogram
  : S extends { readonly type: "counter" }
    ? Counter
    : Gauge;
/** What `add` gives for a row: the one series itself where there are no labels, else the family. */
export type MetricOf<S extends MetricSpec> = S["labels"] extends readonly []
  ? ChildOf<S>
  : Family<ChildOf<S>, S["labels"]>;

/** A metric as the text format needs it. */
export interface Registered {
  readonly spec: MetricSpec;
  readonly series: Iterable<readonly [values: readonly string[], child: Child]>;
}

/** All metrics of one process (or of one test). Nothing is global. */
export class Registry {
  readonly #metrics = new Map<string, Registered>();
  readonly #hooks: (() => void)[] = [];

  /**
   * Adds a metric. Throws where its name is taken or its row breaks the rules of the format: both are mistakes in a
   * table, found at the first start.
   */
  add<const S extends MetricSpec>(spec: S): MetricOf<S> {
    checkSpec(spec);
    if (this.#metrics.has(spec.name)) throw new Error(`the metric ${spec.name} is there twice`);
    if (spec.labels.length === 0) {
      const child = makeChild(spec);
      this.#metrics.set(spec.name, { spec, series: [[[], child]] });
      // makeChild has just read `type`, which is what MetricOf reads.
      return child as MetricOf<S>;
    }
    const family = new Family(spec.labels, () => makeChild(spec), spec.maxSeries ?? DEFAULT_MAX_SERIES);
    for (const values of spec.presets ?? []) family.labels(...values);
    this.#metrics.set(spec.name, { spec, series: { [Symbol.iterator]: () => family.series()[Symbol.iterator]() } });
    return family as unknown as MetricOf<S>;
  }

  /**
   * Calls `hook` before every scrape: for values that are cheaper to look up than to keep. It must be quick and must
   * not throw.
   */
  onCollect(hook: () => void): void {
    this.#hooks.push(hook);
  }

  /** Runs the hooks and gives every metric in the order in which they were added. */
  collect(): Iterable<Registered> {
    for (const hook of this.#hooks) hook();
    return this.#metrics.values();
  }
}

function makeChild(spec: MetricSpec): Child {
  if (spec.type === "histogram") return new Histogram(spec.buckets);
  return spec.type === "counter" ? new Counter() : new Gauge();
}

function checkSpec(spec: MetricSpec): void {
  if (!METRIC_NAME.test(spec.name)) throw new Error(`${spec.name} is not a metric name`);
  const bad = spec.labels.find(
    (label, index) =>
      !LABEL_NAME.test(label) || spec.labels.indexOf(label) !== index || (label === "le" && spec.type === "histogram"),
  );
  if (bad !== undefined) throw new Error(`${spec.name} cannot have the label ${bad}`);
  if (spec.type !== "histogram") return;
  const rising = spec.buckets.every(
    (bound, index) => Number.isFinite(bound) && bound > (spec.buckets[index - 1] ?? -Infinity),
  );
  if (!rising || spec.buckets.length === 0) throw new Error(`the buckets of ${spec.name} do not rise`);
}
