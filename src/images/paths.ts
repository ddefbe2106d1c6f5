/**
 * Where images lie on disk, and the only way from a digest to a path; it touches no file.
 *
 *     <images_dir>/
 *       sha256/
 *         <first two hex>/
 *           <64 hex>              an image: complete, and its name is its hash
 *       incoming/
 *         upload_<20 hex>         an upload in flight; the next start clears what a crash left here
 *       quarantine/
 *         <64 hex>.<20 hex>       bytes that did not hash to their name, kept for a person to look at
 */
import { randomBytes } from "node:crypto";
import { ApiError } from "../lib/errors.ts";
import type { ImageDigest } from "../lib/id-types.ts";
import { DIGEST_PATTERN, newId } from "../lib/ids.ts";

/** `sha256:` and 64 lower-case hex, and known to be: a path is made of nothing less. */
export type Digest = ImageDigest;

const PREFIX = "sha256:";

export function isDigest(text: string): text is Digest {
  return DIGEST_PATTERN.test(text);
}

/** Reads what a client sent. Throws ApiError `invalid_digest`. */
export function readDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new ApiError("invalid_digest", "A digest is sha256: and 64 lower-case hex characters.");
}

/** The digest of a hash's hex. */
export function digestOfHex(hex: string): Digest {
  return readDigest(PREFIX + hex);
}

export class ImagePaths {
  readonly root: string;
  readonly images: string;
  readonly incoming: string;
  readonly quarantine: string;

  constructor(imagesDir: string) {
    this.root = imagesDir;
    this.images = `${imagesDir}/sha256`;
    this.incoming = `${imagesDir}/incoming`;
    this.quarantine = `${imagesDir}/quarantine`;
  }

  /** The folder of an image's file. */
  folderOf(digest: Digest): string {
    return `${this.images}/${digest.slice(PREFIX.length, PREFIX.length + 2)}`;
  }

  fileOf(digest: Digest): string {
    return `${this.folderOf(digest)}/${digest.slice(PREFIX.length)}`;
  }

  /** A name that no upload had before. */
  newIncoming(): string {
    return `${this.incoming}/${newId("upload")}`;
  }

  /** A name that no quarantined file had before: one digest may go wrong twice. */
  newQuarantine(digest: Digest): string {
    return `${this.quarantine}/${digest.slice(PREFIX.length)}.${randomBytes(10).toString("hex")}`;
  }
}
