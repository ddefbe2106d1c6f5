/** What the machines of the simulation are like: a digest is a temper. */

export interface Temper {
  readonly name: string;
  /** Milliseconds, least and most. */
  readonly start: readonly [number, number];
  readonly ready: readonly [number, number];
  readonly stop: readonly [number, number];
  /** How long it runs until it exits with code 1, on average; null for ever. */
  readonly livesMs: number | null;
  /** Why it cannot be started, or null. */
  readonly refusal: string | null;
  /** It has a check, which it passes at some time or never. */
  readonly check: "none" | "passes" | "fails";
  /** Milliseconds after which its check gives another answer than before, least and most; null where it keeps to one. */
  readonly wavers: readonly [number, number] | null;
}

const CALM = { start: [50, 400], ready: [0, 0], stop: [20, 500], livesMs: null, refusal: null, check: "none", wavers: null } as const;

const TEMPERS: readonly Temper[] = [
  { ...CALM, name: "calm" },
  { ...CALM, name: "checked", ready: [200, 3_000], check: "passes" },
  { ...CALM, name: "slow", start: [1_000, 8_000], ready: [2_000, 15_000], stop: [1_000, 8_000], check: "passes" },
  { ...CALM, name: "stubborn", stop: [60_000, 60_000] },
  { ...CALM, name: "flaky", livesMs: 900_000 },
  { ...CALM, name: "nervous", ready: [200, 3_000], check: "passes", wavers: [200, 900] },
  { ...CALM, name: "crashing", livesMs: 300, check: "fails" },
  { ...CALM, name: "deaf", check: "fails" },
  { ...CALM, name: "unstartable", refusal: "it is no program", check: "passes" },
];

/** By digest. */
export const IMAGES: ReadonlyMap<string, Temper> = new Map(TEMPERS.map((temper, index) => [`sha256:${String(index).repeat(64)}`, temper]));

/** Digests of machines that come up. */
export const GOOD: readonly string[] = [...IMAGES].filter(([, { refusal, check, livesMs, wavers }]) => refusal === null && check !== "fails" && livesMs === null && wavers === null).map(([digest]) => digest);
export const FLAKY: readonly string[] = [...IMAGES].filter(([, { name }]) => name === "flaky").map(([digest]) => digest);
/** Digests of machines whose checks waver: each costs a line or two a second. */
export const NERVOUS: readonly string[] = [...IMAGES].filter(([, { wavers }]) => wavers !== null).map(([digest]) => digest);
/** Digests of machines that never do. */
export const BAD: readonly string[] = [...IMAGES].filter(([, { refusal, check }]) => refusal !== null || check === "fails").map(([digest]) => digest);

/** Digests of machines that may be down at any time, by themselves. */
export const UNSTEADY: readonly string[] = [...FLAKY, ...NERVOUS, ...BAD];

/** A machine that does not stop when asked is killed after so long. */
export const STOP_GRACE_MS = 10_000;

export function temperOf(digest: string): Temper {
  const found = IMAGES.get(digest);
  if (found === undefined) throw new Error(`the simulation has no image ${digest}`);
  return found;
}
