/** Email addresses as people mean them: which two are one, and what a new one may be. */
import { fail, scalar, string } from "./schema.ts";
import type { Schema } from "./schema.ts";
import { hidesSomething, onlyVisible } from "./visible.ts";

const SHAPE = /^[^\s@]{1,64}@[^\s@]{1,189}$/;
/** Not of a person's making: unassigned, for private use, or half of a character. */
const NO_TEXT = /[\p{Cn}\p{Co}\p{Cs}]/u;
const ASCII = /^[\x21-\x7e]*$/;

/**
 * How an address is kept: in lower case, and in Unicode's compatibility form (NFKC, as passwords: RFC 8265), in which
 * two ways to encode one letter are one. Nobody means two people by Ann@ and ann@.
 */
export function normalizeEmail(email: string): string {
  const trimmed = email.trim();
  // Lower case can take a text out of its form, so the form comes last too.
  return ASCII.test(trimmed) ? trimmed.toLowerCase() : trimmed.normalize("NFKC").toLowerCase().normalize("NFKC");
}

/**
 * What two addresses are compared by: logs from before have some that were kept in another form, or with characters
 * that nobody sees.
 */
export function emailKey(email: string): string {
  return ASCII.test(email) ? email.toLowerCase() : normalizeEmail(onlyVisible(email));
}

const GIVEN = string({ min: 1, max: 254 });

function readNew(value: unknown): string {
  const given = GIVEN.read(value);
  const email = normalizeEmail(given);
  const isOne =
    !/\s/.test(given) && SHAPE.test(email) && !hidesSomething(given) && !NO_TEXT.test(email) && email.length <= 254;
  return isOne ? email : fail("must be an email address, without blanks and invisible characters");
}

/**
 * A new address, as it is to be kept. Its form is judged after normalisation, which can make an at sign or a blank of
 * something else.
 */
export const newEmail: Schema<string> = scalar(readNew, { type: "string", format: "email", maxLength: 254 });
