/** Numbers and times as people read them; no I/O. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `0 B`, `512 B`, `15.5 GiB`, `301 MiB`: a decimal below 100, unless it is 0; never 1024 of a unit. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.5 would be shown as 1024.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")} ${UNITS[unit] ?? ""}`;
}

export function formatMebibytes(mebibytes: number): string {
  return formatBytes(mebibytes * 1024 * 1024);
}

/** `12s`, `3m`, `4h`, `2d`: the largest unit, cut off. A time in the future, as clocks that differ make it, is `0s`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

/** The age of an RFC 3339 time; `-` where there is none. */
export function ageOf(at: string | undefined, nowWall: number): string {
  const then = at === undefined ? NaN : Date.parse(at);
  return Number.isNaN(then) ? "-" : formatAge(nowWall - then);
}

/** A stretch of time just measured: `0.4s`, `12s`, `3m05s`, `1h02m`. */
export function formatElapsed(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3_600)}h${two(Math.floor((seconds % 3_600) / 60))}m`;
}
