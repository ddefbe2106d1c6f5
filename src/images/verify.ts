/**
 * Re-hashes what the image store holds and says what is wrong, beside running uploads and downloads; it moves wrong
 * bytes to quarantine and deletes nothing.
 */
import { ApiError, messageOf, systemCode } from "../lib/errors.ts";
import type { FileStat } from "../lib/files.ts";
import { hashFile } from "../lib/hash-file.ts";
import { type Digest, digestOfHex, isDigest } from "./paths.ts";
import type { ImageStore } from "./store.ts";

/**
 * What was found of one thing. Every kind but `good`, `stranger` and `leftover` is a loss that an operator must hear
 * of.
 */
export type Finding =
  | { readonly kind: "good"; readonly digest: Digest; readonly sizeBytes: number }
  /** The bytes hash to `actual`; they lie at `movedTo` now. */
  | {
      readonly kind: "quarantined";
      readonly digest: Digest;
      readonly sizeBytes: number;
      readonly actual: string;
      readonly movedTo: string;
    }
  /** In the log, not on disk. */
  | { readonly kind: "missing"; readonly digest: string }
  /** The disk failed, or the log has another size for bytes that hash right. */
  | { readonly kind: "failed"; readonly digest: Digest; readonly reason: string }
  /** On disk, not in the log; kept. */
  | { readonly kind: "stranger"; readonly path: string }
  /** An upload that a crash cut off; the next start clears it. */
  | { readonly kind: "leftover"; readonly path: string };

export interface KnownImage {
  readonly digest: string;
  readonly sizeBytes: number;
}

const HASH_FOLDER = /^[0-9a-f]{2}$/;

/** True where the finding means that an image cannot be served. */
export function isLoss(finding: Finding): boolean {
  return finding.kind === "quarantined" || finding.kind === "missing" || finding.kind === "failed";
}

/**
 * Verifies every file and every known image, one after another. `known` is read after the folders are listed, and may
 * be live; `signal` ends it. Throws where a folder cannot be read, or is not there.
 */
export async function* verifyImages(
  store: ImageStore,
  known: Iterable<KnownImage>,
  signal: AbortSignal = new AbortController().signal,
): AsyncGenerator<Finding> {
  await store.requireFolder();
  const { digests, strangers } = await listImages(store);
  const sizes = new Map(Array.from(known, ({ digest, sizeBytes }) => [digest, sizeBytes]));
  for (const digest of digests) {
    if (signal.aborted) return;
    const knownBytes = sizes.get(digest) ?? null;
    sizes.delete(digest);
    const finding = await verifyOne(store, digest, knownBytes, signal);
    // A file that went between listing and hashing was deleted, unless the log knows it.
    if (finding.kind !== "missing" || knownBytes !== null) yield finding;
    if (finding.kind === "good" && knownBytes === null) yield { kind: "stranger", path: store.paths.fileOf(digest) };
  }
  for (const [digest, knownBytes] of sizes)
    yield isDigest(digest) ? await verifyOne(store, digest, knownBytes, signal) : { kind: "missing", digest };
  for (const path of strangers) yield { kind: "stranger", path };
  for (const path of await store.leftovers()) yield { kind: "leftover", path };
}

/**
 * Verifies the file of one digest; `knownBytes` is its size in the log, null for a stranger. Throws nothing: a disk
 * that fails is a finding.
 */
export async function verifyOne(
  store: ImageStore,
  digest: Digest,
  knownBytes: number | null,
  signal: AbortSignal = new AbortController().signal,
): Promise<Finding> {
  try {
    for (;;) {
      const seen = await store.files.stat(store.paths.fileOf(digest));
      if (seen === null) return { kind: "missing", digest };
      const { sha256, sizeBytes } = await hashFile(store.files, store.paths.fileOf(digest), () =>
        requireGoingOn(signal),
      );
      const actual = digestOfHex(sha256);
      if (actual === digest) {
        if (knownBytes === null || knownBytes === sizeBytes) return { kind: "good", digest, sizeBytes };
        return {
          kind: "failed",
          digest,
          reason: `the file is right and has ${sizeBytes} bytes, the log says ${knownBytes}`,
        };
      }
      const movedTo = await store.quarantine(digest, seen).catch((error: unknown) => {
        const reason = `its bytes hash to ${actual}, and it could not be set aside: ${causeOf(error)}`;
        throw new Error(reason, { cause: error });
      });
      if (movedTo !== null) return { kind: "quarantined", digest, sizeBytes, actual, movedTo };
      // Null: an upload put another file there meanwhile. Its bytes are looked at anew.
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return { kind: "missing", digest };
    return { kind: "failed", digest, reason: causeOf(error) };
  }
}

function requireGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new Error("the verification was stopped");
}

/** What the disk said. */
function causeOf(error: unknown): string {
  return messageOf(error instanceof ApiError ? error.cause : error);
}

/** The digests on disk, and the paths below `sha256/` that are none. */
async function listImages({
  files,
  paths,
}: ImageStore): Promise<{ readonly digests: Digest[]; readonly strangers: string[] }> {
  const digests: Digest[] = [];
  const strangers: string[] = [];
  for (const folder of await files.list(paths.images)) {
    const folderPath = `${paths.images}/${folder}`;
    const names =
      HASH_FOLDER.test(folder) && (await isFolder(files.stat(folderPath))) ? await files.list(folderPath) : null;
    if (names === null) strangers.push(folderPath);
    for (const name of names ?? []) {
      const digest = `sha256:${name}`;
      const found = await files.stat(`${folderPath}/${name}`);
      if (isDigest(digest) && name.startsWith(folder) && found?.isFile === true) digests.push(digest);
      else strangers.push(`${folderPath}/${name}`);
    }
  }
  return { digests, strangers };
}

async function isFolder(stat: Promise<FileStat | null>): Promise<boolean> {
  return (await stat)?.isFile === false;
}
