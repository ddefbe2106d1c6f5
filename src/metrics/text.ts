/** The Prometheus text exposition format 0.0.4, written directly; reads a registry and changes nothing in it. */
import type { Child, Registered, Registry } from "./registry.ts";
import { Histogram } from "./registry.ts";

/** Always sent whole: Prometheus 3 refuses a blank type. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One scrape: runs the collect hooks, then writes every metric, also those that have no series yet. */
export function renderMetrics(registry: Registry): string {
  let text = "";
  for (const metric of registry.collect()) text += renderMetric(metric);
  return text;
}

function renderMetric({ spec, series }: Registered): string {
  let text = `# HELP ${spec.name} ${escapeHelp(spec.help)}\n# TYPE ${spec.name} ${spec.type}\n`;
  for (const [values, child] of series) {
    const labels = spec.labels.map((label, index) => `${label}="${escapeLabel(values[index] ?? "")}"`);
    text += renderSeries(spec.name, labels, child);
  }
  return text;
}

function renderSeries(name: string, labels: readonly string[], child: Child): string {
  const braces = labels.length === 0 ? "" : `{${labels.join(",")}}`;
  if (!(child instanceof Histogram)) return `${name}${braces} ${formatValue(child.value)}\n`;
  const cumulative = child.cumulative;
  let text = "";
  cumulative.forEach((count, index) => {
    const bound = formatValue(child.bounds[index] ?? Infinity);
    text += `${name}_bucket{${[...labels, `le="${bound}"`].join(",")}} ${count}\n`;
  });
  return `${text}${name}_sum${braces} ${formatValue(child.sum)}\n${name}_count${braces} ${cumulative.at(-1) ?? 0}\n`;
}

/** A number as Go's ParseFloat reads it. */
function formatValue(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
