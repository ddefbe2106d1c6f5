/** `zwrm image`: listing, pushing and dropping images of one's own org. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { messageOf, systemCode } from "../lib/errors.ts";
import { DIGEST_PATTERN, LABEL_PATTERN, SHA256_HEX_PATTERN } from "../lib/ids.ts";
import { ANYTHING, IMAGES } from "./answers.ts";
import type { Argument, ValueFlag } from "./command.ts";
import { command, readText } from "./command.ts";
import { ageOf, formatBytes, formatElapsed } from "./format.ts";
import { CliError } from "./io.ts";
import { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** Big enough that hashing and sending, not the calls, take the time. */
const PIECE_BYTES = 1024 * 1024;

const DIGEST: Argument<string> = {
  placeholder: "DIGEST",
  help: `the image's digest, as "zwrm image list" shows it`,
  read: (text) => {
    const digest = SHA256_HEX_PATTERN.test(text) ? `sha256:${text}` : text;
    if (!DIGEST_PATTERN.test(digest)) throw new Error("must be sha256: and 64 of 0-9 and a-f");
    return digest;
  },
};

function appFlag(help: string): ValueFlag<string> {
  const read = (text: string): string => {
    if (!LABEL_PATTERN.test(text)) throw new Error("must be 1 to 64 of A-Z a-z 0-9 . _ -");
    return text;
  };
  return { placeholder: "ID", help, read };
}

export const imageList = command({
  name: "image list",
  summary: "list the org's images",
  args: {},
  flags: { app: appFlag("only images of this app") },
  run: (session, _args, { app }) =>
    session.show("GET", "/v1/images", { query: { app_id: app ?? undefined } }, IMAGES, ({ images }) => {
      if (images.length === 0) return session.note(app === null ? "There is no image yet: zwrm image push FILE" : `There is no image of the app ${app}.`);
      const now = session.io.clock.wall();
      const columns = [{ title: "DIGEST" }, { title: "SIZE", right: true }, { title: "AGE", right: true }, { title: "APPS" }];
      session.table(columns, images.map((image) => [image.digest, formatBytes(image.size_bytes), ageOf(image.created_at, now), image.app_ids.join(" ")]));
    }),
});

export const imageRemove = command({
  name: "image rm",
  summary: "drop an image; its bytes go when no other org has it",
  args: { digest: DIGEST },
  flags: {},
  run: (session, { digest }) => session.show("DELETE", `/v1/images/${digest}`, {}, ANYTHING, () => session.line(`${digest} is dropped.`)),
});

export const imagePush = command({
  name: "image push",
  summary: "upload a file as an image, named by the SHA-256 of its bytes",
  args: { file: { placeholder: "FILE", help: "the image, such as a root filesystem", read: readText } },
  flags: { app: appFlag("label the image with this app; the app need not exist") },
  run: async (session, { file }, { app }) => {
    const handle = await openImage(file);
    try {
      return await push(session, handle, basename(file), app);
    } finally {
      await handle.close();
    }
  },
});

async function openImage(path: string): Promise<FileHandle> {
  try {
    const handle = await open(path, "r");
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    throw new CliError(systemCode(error) === "ENOENT" ? `There is no file ${path}.` : `${path} cannot be read: ${messageOf(error)}.`, { cause: error });
  }
  throw new CliError(`${path} is not a file. An image is one file: pack a folder first, for example with tar or mkfs.ext4 -d.`);
}

/** Hashes first, because the digest is in the path; both passes read through one descriptor, so that they see one file. */
async function push(session: Session, handle: FileHandle, name: string, app: string | null): Promise<number> {
  const { clock, stderr } = session.io;
  const { size } = await handle.stat();
  const hashing = new Progress(stderr, clock, `hashing ${name}`, size);
  const { digest, sizeBytes } = await hashOf(handle, (done) => hashing.update(done)).finally(() => hashing.clear());
  if (sizeBytes !== size) throw new CliError("The file changed while it was read: push it again when nothing writes to it any more.");
  const pushing = new Progress(stderr, clock, `pushing ${name}`, sizeBytes);
  const started = clock.mono();
  const upload = { query: { app_id: app ?? undefined }, sizeBytes, source: piecesOf(handle), onProgress: (sent: number) => pushing.update(sent) };
  const answer = await session.upload(`/v1/images/${digest}`, upload).finally(() => pushing.clear());
  if (session.json) session.printJson(answer.body);
  else session.line(`${digest} ${answer.status === 201 ? "pushed" : "was there already; sent and checked again"}: ${speedText(sizeBytes, clock.mono() - started)}`);
  return 0;
}

function speedText(bytes: number, ms: number): string {
  const rate = ms > 0 ? ` (${formatBytes((bytes / ms) * 1000)}/s)` : "";
  return `${formatBytes(bytes)} in ${formatElapsed(ms)}${rate}`;
}

/** Throws CliError where the disk does not give the bytes. */
async function hashOf(handle: FileHandle, progress: (done: number) => void): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
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
    const reading = handle.read(buffer, 0, PIECE_BYTES, position).then(({ bytesRead }) => buffer.subarray(0, bytesRead));
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
