/** An image as a file of the user's: opened, hashed and sent, with a bar on a terminal. Decides nothing about when. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import type { Answer } from "../client/exchange.ts";
import { messageOf, systemCode } from "../lib/errors.ts";
import { DIGEST_PATTERN, SHA256_HEX_PATTERN } from "../lib/ids.ts";
import { formatBytes, formatElapsed } from "./format.ts";
import { CliError } from "./io.ts";
import { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** Big enough that hashing and sending, not the calls, take the time. */
const PIECE_BYTES = 1024 * 1024;

export interface ImageFile {
  readonly handle: FileHandle;
  readonly name: string;
}

export interface Hashed {
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface Pushed {
  readonly answer: Answer;
  /** How long the sending took. */
  readonly ms: number;
}

/** A digest, with or without the algorithm in front; null for any other text. */
export function readDigest(text: string): string | null {
  const digest = SHA256_HEX_PATTERN.test(text) ? `sha256:${text}` : text;
  return DIGEST_PATTERN.test(digest) ? digest : null;
}

/** Opens a file for `use`, and closes it afterwards. Throws CliError where it is no file that can be read. */
export async function withImage<T>(path: string, use: (image: ImageFile) => Promise<T>): Promise<T> {
  const handle = await openImage(path);
  try {
    return await use({ handle, name: basename(path) });
  } finally {
    await handle.close();
  }
}

async function openImage(path: string): Promise<FileHandle> {
  try {
    const handle = await open(path, "r");
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    throw new CliError(
      systemCode(error) === "ENOENT" ? `There is no file ${path}.` : `${path} cannot be read: ${messageOf(error)}.`,
      { cause: error },
    );
  }
  throw new CliError(
    `${path} is not a file. An image is one file: pack a folder first, for example with tar or mkfs.ext4 -d.`,
  );
}

/** Reads the whole file. Throws CliError where it changes meanwhile. */
export async function hashImage(session: Session, { handle, name }: ImageFile): Promise<Hashed> {
  const { clock, stderr } = session.io;
  const { size } = await handle.stat();
  const hashing = new Progress(stderr, clock, `hashing ${name}`, size);
  const hashed = await hashOf(handle, (done) => hashing.update(done)).finally(() => hashing.clear());
  if (hashed.sizeBytes !== size)
    throw new CliError("The file changed while it was read: push it again when nothing writes to it any more.");
  return hashed;
}

/**
 * Sends what was hashed: that comes first, because the digest is in the path; both passes read through one descriptor,
 * so that they see one file.
 */
export async function pushImage(
  session: Session,
  { handle, name }: ImageFile,
  { digest, sizeBytes }: Hashed,
  app: string | null,
): Promise<Pushed> {
  const { clock, stderr } = session.io;
  const pushing = new Progress(stderr, clock, `pushing ${name}`, sizeBytes);
  const started = clock.mono();
  const upload = {
    query: { app_id: app ?? undefined },
    sizeBytes,
    source: piecesOf(handle),
    onProgress: (sent: number) => pushing.update(sent),
  };
  const answer = await session.upload(`/v1/images/${digest}`, upload).finally(() => pushing.clear());
  return { answer, ms: clock.mono() - started };
}

/** `sha256:… pushed: 19.1 MiB in 0.2s (95.7 MiB/s)` */
export function pushedText({ digest, sizeBytes }: Hashed, { answer, ms }: Pushed): string {
  const rate = ms > 0 ? ` (${formatBytes((sizeBytes / ms) * 1000)}/s)` : "";
  return (
    `${digest} ${answer.status === 201 ? "pushed" : "was there already; sent and checked again"}: ` +
    `${formatBytes(sizeBytes)} in ${formatElapsed(ms)}${rate}`
  );
}

/** Throws CliError where the disk does not give the bytes. */
async function hashOf(handle: FileHandle, progress: (done: number) => void): Promise<Hashed> {
  const hash = createHash("sha256");
  let done = 0;
  try {
    for await (const piece of piecesOf(handle)) {
      hash.update(piece);
      progress((done += piece.length));
    }
  } catch (error) {
    throw new CliError(`The file cannot be read: ${messageOf(error)}.`, { cause: error });
  }
  return { digest: `sha256:${hash.digest("hex")}`, sizeBytes: done };
}

/** The file from its beginning. The next piece is read while one is used, so two buffers take turns. */
async function* piecesOf(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const read = (buffer: Buffer, position: number): Promise<Buffer> => {
    const reading = handle
      .read(buffer, 0, PIECE_BYTES, position)
      .then(({ bytesRead }) => buffer.subarray(0, bytesRead));
    // It is awaited when the piece before it is used up; failing earlier than that must not end the program.
    reading.catch(() => undefined);
    return reading;
  };
  let [current, spare] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];
  let position = 0;
  let next = read(current, position);
  try {
    for (;;) {
      const piece = await next;
      if (piece.length === 0) return;
      position += piece.length;
      next = read(spare, position);
      yield piece;
      [current, spare] = [spare, current];
    }
  } finally {
    // Whoever stops early must not close the descriptor under a read.
    await next.catch(() => undefined);
  }
}
