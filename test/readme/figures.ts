/** Finds the figures that a text claims to have measured, and what it names as the script that prints them. */
import { paragraphsOf } from "./documents.ts";

const NUMBER = String.raw`\d[\d.,]*`;
const UNIT = String.raw`(?:ns|µs|us|ms|s|seconds?|min|minutes?|h|hours?|%|[KMGT]i?B|times)(?![\w-])`;

/** A sentence claims where it holds all of a row and none of `not`. */
interface Claim {
  readonly all: readonly RegExp[];
  readonly not?: RegExp;
}

const CLAIMS: readonly Claim[] = [
  // So many things a second. A bound is no measurement.
  {
    all: [
      new RegExp(String.raw`${NUMBER}(?:k| thousand| million)? ?(?:[KMGT]i?B|[a-z]+)(?: an? | per |/)(?:s|second)\b`),
    ],
    not: /\bat (?:most|least)\b|\bup to\b|\bno more than\b/,
  },
  // A figure among words of measuring.
  {
    all: [
      /\b(?:measured|benchmark\w*|median|p50|p9\d|throughput|latency|faster|slower|overhead|on this machine)\b/i,
      new RegExp(`${NUMBER} ?${UNIT}`),
    ],
  },
  // What something takes.
  {
    all: [
      new RegExp(
        String.raw`\b(?:takes?|took|costs?)(?: (?:about|some|around|roughly|under|less than|only))? ${NUMBER} ?${UNIT}`,
      ),
    ],
  },
  {
    all: [new RegExp(String.raw`\b(?:within|in) (?:(?:about|some|under|less than) )?${NUMBER} ?(?:ns|µs|us|ms)\b`)],
  },
];

/** A script of ours, or the tests. */
const SCRIPT =
  /`[^`]*(?:scripts\/[\w./-]+|npm (?:test|run [\w:-]+)|test\/[\w./-]+\.ts)[^`]*`|\]\([^)]*scripts\/[^)]+\)/;

/** The sentences that claim a figure in a paragraph that names no script. */
export function unproven(text: string): readonly string[] {
  return paragraphsOf(text)
    .filter((paragraph) => !SCRIPT.test(paragraph))
    .flatMap((paragraph) => paragraph.split(/(?<=[.:;!?]) /))
    .filter((sentence) =>
      CLAIMS.some(({ all, not }) => all.every((one) => one.test(sentence)) && !not?.test(sentence)),
    );
}
