/** When something is due by the monotonic clock: now, at a time, or never by time alone. Pure; it sets no timer. */

/** Now, or from a moment on, in monotonic milliseconds. */
export type Time = "now" | { readonly at: number };
export type Due = Time | "never";

export function isDue(due: Due, now: number): boolean {
  return due === "now" || (due !== "never" && now >= due.at);
}

/** The earliest of these; never where there is none. */
export function earliest(dues: readonly Due[]): Due {
  if (dues.includes("now")) return "now";
  const times = dues.flatMap((due) => (typeof due === "string" ? [] : [due.at]));
  return times.length === 0 ? "never" : { at: Math.min(...times) };
}

/** How long until then, in milliseconds; 0 for what is overdue. */
export function msUntil(time: Time, now: number): number {
  return time === "now" ? 0 : Math.max(0, time.at - now);
}
