/** Ids as tests write them: plain texts, which become ids by these three, and nowhere else. */
import type { Id } from "../../src/lib/id-types.ts";
import type { Event } from "../../src/state/events.ts";

/** The same with a plain text in the place of every id. */
export type Plain<T> =
  T extends Id<string> ? string : T extends string ? T : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

/** An event as a test tells it. */
export type Told = Plain<Event>;

/** The text as the id that is asked for where it stands. */
export function idOf<I extends string>(text: string): I {
  return text as I;
}

export function idsOf<I extends string>(...texts: readonly string[]): I[] {
  return texts as I[];
}

/** What has ids in it, as the type that is asked for where it stands. */
export function withIds<T>(value: NoInfer<Plain<T>>): T {
  return value as T;
}
