/**
 * A strict reader of the text exposition format and the rules of `promtool check metrics`, for tests; written from the
 * format's description.
 */
import { spawnSync } from "node:child_process";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/y;
const UNESCAPED: Readonly<Record<string, string>> = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

/** Throws at the first line that is not the format. */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("no final newline");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: readonly [name: string, text: string] | null = null;
  let family: Family | null = null;
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment?.[1] === "HELP") {
      help = [comment[2] ?? "", comment[3] ?? ""];
    } else if (comment?.[1] === "TYPE") {
      const name = comment[2] ?? "";
      if (help?.[0] !== name) throw new Error(`no HELP before: ${line}`);
      if (families.has(name)) throw new Error(`twice: ${line}`);
      family = {
        name,
        type: comment[3] ?? "",
        help: help[1].replace(/\\\\|\\n/g, (pair) => UNESCAPED[pair] ?? pair),
        samples: [],
      };
      families.set(name, family);
    } else {
      const sample = parseSample(line);
      const own =
        family?.type === "histogram"
          ? ["_bucket", "_sum", "_count"].map((end) => `${family?.name}${end}`)
          : [family?.name];
      if (!own.includes(sample.name)) throw new Error(`outside its family: ${line}`);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(key)) throw new Error(`series twice: ${line}`);
      seen.add(key);
      family?.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): Sample {
  const [, name, labelText, valueText] = SAMPLE.exec(line) ?? [];
  if (name === undefined || valueText === undefined) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (labelText !== undefined && LABEL.lastIndex < labelText.length) {
    const [, label, value] = LABEL.exec(labelText) ?? [];
    if (label === undefined || value === undefined) throw new Error(`bad labels: ${line}`);
    labels[label] = value.replace(/\\[\\"n]/g, (pair) => UNESCAPED[pair] ?? pair);
  }
  const value = valueText === "+Inf" ? Infinity : valueText === "-Inf" ? -Infinity : Number(valueText);
  if (Number.isNaN(value) && valueText !== "NaN") throw new Error(`bad value: ${line}`);
  return { name, labels, value };
}

/** What is wrong with names, units and histograms, in sentences; empty where all is well. */
export function lintExposition(text: string): string[] {
  const problems: string[] = [];
  for (const { name, type, help, samples } of parseExposition(text).values()) {
    if (help.trim() === "") problems.push(`${name}: no help text`);
    if (type === "counter" && !name.endsWith("_total")) problems.push(`${name}: a counter ends in _total`);
    if (type !== "counter" && name.endsWith("_total")) problems.push(`${name}: only a counter ends in _total`);
    if (/_(bucket|count|sum)$/.test(name)) problems.push(`${name}: ends like a part of a histogram`);
    if (/(^|_)(counter|gauge|histogram|summary)(_|$)/.test(name)) problems.push(`${name}: the type is in the name`);
    if (/_(milliseconds|microseconds|nanoseconds|minutes|hours|days|kilobytes|megabytes|mb|ms|percent)(_|$)/.test(name))
      problems.push(`${name}: not a base unit`);
    if (/[A-Z]/.test(name)) problems.push(`${name}: not snake_case`);
    if (type === "histogram") problems.push(...lintHistogram(name, samples));
  }
  return problems;
}

function lintHistogram(name: string, samples: readonly Sample[]): string[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify(Object.entries(sample.labels).filter(([label]) => label !== "le"));
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].flatMap((group) => {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map((bucket) => (bucket.labels["le"] === "+Inf" ? Infinity : Number(bucket.labels["le"])));
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    const sum = group.find((sample) => sample.name === `${name}_sum`);
    const rises = buckets.every(
      (bucket, index) =>
        index === 0 ||
        (bucket.value >= (buckets[index - 1]?.value ?? 0) && (bounds[index] ?? 0) > (bounds[index - 1] ?? 0)),
    );
    const whole = bounds.at(-1) === Infinity && buckets.at(-1)?.value === count && sum !== undefined;
    return rises && whole ? [] : [`${name}: a histogram is not cumulative or not whole`];
  });
}

/** The real thing's opinion; null where promtool is not installed. */
export function promtoolCheck(text: string): { readonly status: number | null; readonly output: string } | null {
  const run = spawnSync("promtool", ["check", "metrics", "--extended"], {
    input: text,
    encoding: "utf8",
    timeout: 20_000,
  });
  if (run.error !== undefined) return null;
  return { status: run.status, output: run.stderr };
}
