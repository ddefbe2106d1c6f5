/** Texts that people tell things apart by: what cannot be seen has no place in them. Knows no field. */
import type { Schema } from "./schema.ts";
import { fail, scalar, string } from "./schema.ts";

/**
 * What shows nothing, or reorders what is beside it: controls, format characters (zero width, bidirectional), line
 * separators, lone surrogates, what Unicode lets every font leave out, and the blank Braille pattern.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;
/**
 * Joiners within a word, as Persian and Indic scripts write them, and within an emoji; selectors after what they
 * select.
 */
const WITHIN = new RegExp(
  [
    /(?<=[\p{L}\p{M}\p{S}])[\u200c\u200d](?=[\p{L}\p{S}])/u,
    /(?<=[\p{N}\p{P}\p{S}])[\ufe0e\ufe0f]/u,
    /(?<=[\p{S}\ufe0f])\u200d(?=\p{S})/u,
  ]
    .map(({ source }) => source)
    .join("|"),
  "gu",
);
const MARK = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** Whether a text has something that nobody sees. */
export function hidesSomething(text: string): boolean {
  return HIDDEN.test(text) && HIDDEN.test(text.replace(WITHIN, ""));
}

/** The text without all that nobody sees. */
export function onlyVisible(text: string): string {
  return HIDDEN.test(text) ? [...text].filter((char) => !HIDDEN.test(char)).join("") : text;
}

/** A text of `min` to `max` UTF-16 units that shows all that it has, and something where it has anything. */
export function visibleText(bounds: { readonly min: number; readonly max: number }): Schema<string> {
  const { read } = string(bounds);
  const shown = (value: unknown): string => {
    const text = read(value);
    if (text === "" || (!hidesSomething(text) && MARK.test(text))) return text;
    return fail("must be a text that shows: without control, format and other invisible characters");
  };
  return scalar(shown, { type: "string", minLength: bounds.min, maxLength: bounds.max });
}
