/**
 * Which of two media types a client would rather have, by its Accept header (RFC 9110, 12.5.1); pure, it knows no
 * route.
 */

interface MediaRange {
  /** `text/event-stream`, or with a star, in lower case. */
  readonly name: string;
  /** 0 to 1; 0 refuses. */
  readonly quality: number;
}

const QUALITY = /^q[ \t]*=[ \t]*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/**
 * Whether `special` is asked for by name (or by `text/*`), and not less than `usual`. A star alone names nothing, so
 * whoever takes everything gets the usual; so does whoever takes neither, since an answer of another type says more
 * than none.
 */
export function prefersSpecial(accept: string | null, special: string, usual: string): boolean {
  if (accept === null) return false;
  const ranges = readRanges(accept);
  const [wanted, other] = [bestMatch(ranges, special), bestMatch(ranges, usual)];
  return wanted !== null && wanted.name !== "*/*" && wanted.quality > 0 && wanted.quality >= (other?.quality ?? 0);
}

function readRanges(accept: string): MediaRange[] {
  return splitOutside(accept, ",").flatMap((member) => {
    const [name = "", ...parameters] = splitOutside(member, ";");
    const weight = parameters.find((parameter) => /^q[ \t]*=/i.test(parameter));
    const quality = weight === undefined ? 1 : Number(QUALITY.exec(weight)?.[1] ?? NaN);
    // A member that is none is no reason to read the others wrongly.
    return /^[^\s/]+\/[^\s/]+$/.test(name) && !Number.isNaN(quality) ? [{ name: name.toLowerCase(), quality }] : [];
  });
}

/** The trimmed parts of a text between separators that stand outside of quotes. */
function splitOutside(text: string, separator: "," | ";"): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (char === '"') quoted = !quoted;
    else if (char === "\\" && quoted) index += 1;
    else if (char === separator && !quoted) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts;
}

/**
 * The most specific range that a type fits, which alone counts: `text/event-stream;q=0` is a refusal whatever the star
 * beside it says.
 */
function bestMatch(ranges: readonly MediaRange[], type: string): MediaRange | null {
  for (const name of [type, `${type.slice(0, type.indexOf("/"))}/*`, "*/*"]) {
    const found = ranges.find((range) => range.name === name);
    if (found !== undefined) return found;
  }
  return null;
}
