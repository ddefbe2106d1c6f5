/**
 * What the laboratory does with an image store while the disk fails: imports, again and together, wrong and broken
 * ones, removals, a second start; and what was said of it.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Digest, digestOfHex } from "../../src/images/paths.ts";
import { ImageStore } from "../../src/images/store.ts";
import { ApiError, messageOf, systemCode } from "../../src/lib/errors.ts";
import { type Files, readWhole } from "../../src/lib/files.ts";
import type { Log } from "../../src/lib/log.ts";
import { bounded } from "./faulty-files.ts";

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const PIECE_BYTES = 4_000;
const MAX_BYTES = 1024 ** 2;

export interface Image {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

function image(bytes: Buffer): Image {
  return { digest: digestOfHex(hexOf(bytes)), bytes };
}

function hexOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes like no other's that fill a few pages. */
function filled(size: number, mark: number): Buffer {
  return Buffer.alloc(size, `image ${mark} `);
}

/** An image whose file lies in the same folder as that of `other`. */
function neighbour(other: Image, size: number): Image {
  for (let mark = 1_000; ; mark++) {
    const found = image(filled(size, mark));
    if (found.digest.slice(0, 9) === other.digest.slice(0, 9)) return found;
  }
}

const A = image(filled(10_000, 1));
const B = neighbour(A, 5_000);
const C = image(filled(9_000, 3));
const D = image(filled(4_096, 4));
const WRONG = image(filled(6_000, 5));

/** What a client may count on: `either` while an answer is out, and for good where it was an error. */
export type Promised = "there" | "gone" | "either";

export class ImageLedger {
  readonly #promised = new Map<Digest, Promised>();
  readonly complaints: string[] = [];

  get said(): ReadonlyMap<Digest, Promised> {
    return new Map(this.#promised);
  }

  /** An import that fails takes nothing away that was there. */
  importing(digest: Digest): void {
    if (this.#promised.get(digest) !== "there") this.#promised.set(digest, "either");
  }

  promise(digest: Digest, promised: Promised): void {
    this.#promised.set(digest, promised);
  }
}

export interface ImageWorkload {
  readonly files: Files;
  readonly folder: string;
  readonly ledger: ImageLedger;
  readonly makeRoom: () => void;
}

/** Two starts. Never throws for a disk that fails, and never hangs. */
export async function storeTwice(workload: ImageWorkload): Promise<void> {
  const { ledger, makeRoom } = workload;
  const first = await openStore(workload);
  if (first !== null) {
    await Promise.all([put(first, ledger, A, false), put(first, ledger, C, false), put(first, ledger, C, true)]);
    makeRoom();
    await put(first, ledger, A, true);
    await put(first, ledger, B, true);
    makeRoom();
    await assertRefused(first, ledger, { digest: WRONG.digest, bytes: A.bytes }, "digest_mismatch");
    await assertRefused(first, ledger, { digest: D.digest, bytes: D.bytes.subarray(0, 3_000) }, "malformed_request");
    makeRoom();
    await remove(first, ledger, A);
    await put(first, ledger, A, false);
    await Promise.all([remove(first, ledger, C), put(first, ledger, D, true)]);
    makeRoom();
  }
  const second = await openStore(workload);
  if (second === null) return;
  await put(second, ledger, B, true);
  await put(second, ledger, A, false);
  makeRoom();
  await put(second, ledger, D, true);
}

async function openStore({ files, folder, ledger, makeRoom }: ImageWorkload): Promise<ImageStore | null> {
  const store = new ImageStore({ files, imagesDir: folder, log: quiet });
  try {
    await bounded("open", store.open());
  } catch (error) {
    assert.notEqual(systemCode(error), null, `a start fails with the disk's own error: ${messageOf(error)}`);
    ledger.complaints.push(messageOf(error));
    makeRoom();
    // It is started again, once.
    return store.open().then(
      () => store,
      () => null,
    );
  }
  return store;
}

/** Bytes as they come from a client: in pieces, some time apart. `breaksOff` ends them with an error. */
async function* pieces(bytes: Buffer, breaksOff: boolean): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    await new Promise((resolve) => setImmediate(resolve));
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
  if (breaksOff) throw new Error("the client hung up");
}

export async function put(
  store: ImageStore,
  ledger: ImageLedger,
  { digest, bytes }: Image,
  declares: boolean,
): Promise<void> {
  ledger.importing(digest);
  try {
    const imported = await bounded(
      "import",
      store.import(digest, pieces(bytes, false), {
        declaredBytes: declares ? bytes.length : null,
        maxBytes: MAX_BYTES,
      }),
    );
    assert.equal(imported.sizeBytes, bytes.length);
    ledger.promise(digest, "there");
  } catch (error) {
    complain(ledger, error);
  }
}

async function remove(store: ImageStore, ledger: ImageLedger, { digest }: Image): Promise<void> {
  ledger.promise(digest, "either");
  try {
    await bounded(
      "remove",
      store.remove(digest, () => false),
    );
    ledger.promise(digest, "gone");
  } catch (error) {
    complain(ledger, error);
  }
}

/** Wrong or broken bytes: refused as such, unless the disk fails first. */
async function assertRefused(
  store: ImageStore,
  ledger: ImageLedger,
  { digest, bytes }: Image,
  code: "digest_mismatch" | "malformed_request",
): Promise<void> {
  const source = pieces(bytes, code === "malformed_request");
  const error = await bounded(
    "import",
    store.import(digest, source, { declaredBytes: null, maxBytes: MAX_BYTES }),
  ).then(
    () => null,
    (refusal: unknown) => refusal,
  );
  if (!(error instanceof ApiError) || error.code !== code) complain(ledger, error);
}

function complain(ledger: ImageLedger, error: unknown): void {
  assert.ok(
    error instanceof ApiError && ["storage_failed", "storage_full"].includes(error.code),
    `the disk's failure is told as one: ${String(error)}`,
  );
  ledger.complaints.push(error.message);
}

/**
 * What lies in the store after a start: digests whose files are true. Throws where a file is not, or where an upload's
 * remains lie about.
 */
export async function startStore(files: Files, folder: string): Promise<ReadonlySet<string>> {
  const store = new ImageStore({ files, imagesDir: folder, log: quiet });
  await bounded("open", store.open());
  assert.deepEqual(await files.list(store.paths.incoming), [], "nothing is left of unfinished uploads");
  const found = new Set<string>();
  for (const name of await files.list(store.paths.images)) {
    for (const hex of await files.list(`${store.paths.images}/${name}`)) {
      const bytes = await readWhole(files, `${store.paths.images}/${name}/${hex}`);
      assert.equal(hexOf(bytes), hex, "what is in place is complete and true");
      found.add(`sha256:${hex}`);
    }
  }
  return found;
}

export function judgeImages(found: ReadonlySet<string>, said: ReadonlyMap<Digest, Promised>): void {
  for (const [digest, promised] of said) {
    if (promised === "there") assert.ok(found.has(digest), `${digest} was acknowledged and is there`);
    if (promised === "gone") assert.ok(!found.has(digest), `${digest} was removed and is gone`);
  }
  assert.ok(!found.has(WRONG.digest), "nothing was kept of wrong bytes");
}

/** A start on a disk that works: everything promised is there, and images go in. */
export async function restartAndJudge(files: Files, folder: string, ledger: ImageLedger): Promise<void> {
  judgeImages(await startStore(files, folder), ledger.said);
  const store = new ImageStore({ files, imagesDir: folder, log: quiet });
  await store.open();
  const before = ledger.complaints.length;
  for (const each of [A, B, C, D]) await put(store, ledger, each, true);
  assert.equal(ledger.complaints.length, before, "imports work on a disk that works");
  judgeImages(await startStore(files, folder), ledger.said);
}
