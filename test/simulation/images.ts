/** What the machines of the simulation are like: a digest is a temper. */

export interface Temper {
  readonly name: string;
  /** Milliseconds, least and most. */
  readonly start: readonly [number, number];
  readonly ready: readonly [number, number];
  readonly stop: readonly [number, number];
  /** How long it runs until it exits, on average; null for ever. */
  readonly livesMs: number | null;
  readonly exitCode: 0 | 1;
  /** Why it cannot be started, or null. */
  readonly refusal: string | null;
  /** It has a check, which it passes at some time or never. */
  readonly check: "none" | "passes" | "fails";
  /**
   * Milliseconds after which its check gives another answer than before, least and most; null where it keeps to one.
   */
  readonly wavers: readonly [number, number] | null;
  /** Milliseconds after which its check fails for good, once it has passed; null where it does not. */
  readonly losesIt: readonly [number, number] | null;
  /** What comes of it: runs well; is down at times; never lasts, so that nothing settles while it is asked for. */
  readonly kind: "good" | "unsteady" | "bad";
}

const CALM = {
  start: [50, 400],
  ready: [0, 0],
  stop: [20, 500],
  livesMs: null,
  exitCode: 1,
  refusal: null,
  check: "none",
  wavers: null,
  losesIt: null,
  kind: "good",
} as const;

const TEMPERS: readonly Temper[] = [
  { ...CALM, name: "calm" },
  { ...CALM, name: "checked", ready: [200, 3_000], check: "passes" },
  { ...CALM, name: "slow", start: [1_000, 8_000], ready: [2_000, 15_000], stop: [1_000, 8_000], check: "passes" },
  { ...CALM, name: "stubborn", stop: [60_000, 60_000] },
  { ...CALM, name: "flaky", livesMs: 900_000, kind: "unsteady" },
  { ...CALM, name: "nervous", ready: [200, 3_000], check: "passes", wavers: [200, 900], kind: "unsteady" },
  { ...CALM, name: "crashing", livesMs: 300, check: "fails", kind: "bad" },
  { ...CALM, name: "deaf", check: "fails", kind: "bad" },
  { ...CALM, name: "unstartable", refusal: "it is no program", check: "passes", kind: "bad" },
  // Up for a while, and that is what a roll-out must not fall for.
  { ...CALM, name: "quick", livesMs: 700, kind: "bad" },
  { ...CALM, name: "brief", livesMs: 3_000, kind: "bad" },
  { ...CALM, name: "late", livesMs: 8_000, ready: [200, 1_000], check: "passes", kind: "bad" },
  { ...CALM, name: "later", livesMs: 20_000, kind: "bad" },
  { ...CALM, name: "through", livesMs: 5, exitCode: 0, kind: "bad" },
  { ...CALM, name: "gone", livesMs: 4_000, exitCode: 0, check: "fails", kind: "bad" },
  { ...CALM, name: "fading", ready: [200, 1_000], check: "passes", losesIt: [2_000, 9_000], kind: "bad" },
];

/** By digest. */
export const IMAGES: ReadonlyMap<string, Temper> = new Map(
  TEMPERS.map((temper, index) => [`sha256:${index.toString(16).repeat(64)}`, temper]),
);

function digestsOf(isOne: (temper: Temper) => boolean): readonly string[] {
  return [...IMAGES].filter(([, temper]) => isOne(temper)).map(([digest]) => digest);
}

/** Digests of machines that come up. */
export const GOOD = digestsOf(({ kind }) => kind === "good");
export const FLAKY = digestsOf(({ name }) => name === "flaky");
/** Digests of machines whose checks waver: each costs a line or two a second. */
export const NERVOUS = digestsOf(({ wavers }) => wavers !== null);
/** Digests of machines that never come up, or never last. */
export const BAD = digestsOf(({ kind }) => kind === "bad");

/** Digests of machines that may be down at any time, by themselves. */
export const UNSTEADY: readonly string[] = [...FLAKY, ...NERVOUS, ...BAD];

/** A machine that does not stop when asked is killed after so long. */
export const STOP_GRACE_MS = 10_000;

export function temperOf(digest: string): Temper {
  const found = IMAGES.get(digest);
  if (found === undefined) throw new Error(`the simulation has no image ${digest}`);
  return found;
}
