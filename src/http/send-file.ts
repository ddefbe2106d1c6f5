/**
 * Sends a piece of a file as a response body, with two buffers that take turns; it opens the file late and never leaves
 * it open.
 */
import type { ServerResponse } from "node:http";
import type { Files } from "../lib/files.ts";
import type { BodyPump } from "./types.ts";

const KIB = 1024;
/** The fastest for few downloads; half of it costs a third more CPU a byte. */
const LARGEST_PIECE = 512 * KIB;
const SMALLEST_PIECE = 64 * KIB;
/** The downloads that get the largest pieces hold 16 * 2 * 512 KiB = 16 MiB. */
const LARGE_DOWNLOADS = 16;

/**
 * How large the two buffers of a download may be, by how many downloads run: slow clients must not add up to a lot of
 * memory. The first 16 get 512 KiB each, and each doubling halves the pieces of the newcomers and adds 8 MiB in all: 64
 * downloads hold 32 MiB. Beyond 128 a download holds 128 KiB.
 */
export class PieceSizes {
  #running = 0;

  /** Bytes for each buffer of a download that starts; `end` is called when it is over. */
  begin(): number {
    this.#running += 1;
    const halvings = Math.ceil(Math.log2(Math.max(1, this.#running / LARGE_DOWNLOADS)));
    return Math.max(SMALLEST_PIECE, LARGEST_PIECE / 2 ** halvings);
  }

  end(): void {
    this.#running -= 1;
  }
}

/** The client hung up before it had everything. Nobody is left to be told; it is no fault of ours. */
export class ClientGone extends Error {
  constructor() {
    super("The client closed the connection before the end of the body.");
    this.name = "ClientGone";
  }
}

/**
 * A body that is the bytes of `path` from `start` up to, not including, `end`.
 *
 * The file is opened when the pump runs and the response has its socket, so an answer that is never pumped (HEAD, a
 * client that left, a pipelined request behind others) holds no descriptor and no buffer. From then on the file may be
 * unlinked: the descriptor keeps serving. Rejects with ClientGone; with a system error; or with an Error where the file
 * ends before `end`, since padding would be a lie.
 */
export function fileBody(files: Files, path: string, start: number, end: number, sizes: PieceSizes): BodyPump {
  return async (res, sent) => {
    if (start >= end) return;
    const client = new Client(res);
    try {
      client.check();
      // Answers that are pipelined behind another one have no socket yet; an empty write comes back when it is their
      // turn.
      if (res.socket === null) await client.write(new Uint8Array(0));
      const pieceBytes = sizes.begin();
      try {
        await sendFile(files, path, { start, end, pieceBytes }, client, sent);
      } finally {
        sizes.end();
      }
    } finally {
      client.release();
    }
  };
}

interface Extent {
  readonly start: number;
  readonly end: number;
  readonly pieceBytes: number;
}

async function sendFile(
  files: Files,
  path: string,
  { start, end, pieceBytes }: Extent,
  client: Client,
  sent: (bytes: number) => void,
): Promise<void> {
  const size = Math.min(pieceBytes, end - start);
  let here = Buffer.allocUnsafeSlow(size);
  let there = end - start > size ? Buffer.allocUnsafeSlow(size) : here;
  const fd = await files.open(path, "r");
  let reading = fill(files, fd, here, start, end);
  try {
    for (let position = start; position < end;) {
      const piece = await reading;
      position += piece.length;
      if (position < end) {
        reading = fill(files, fd, there, position, end);
        // Its failure is met by the next turn, or by nobody where the write below fails first.
        reading.catch(() => undefined);
      }
      await client.write(piece);
      sent(piece.length);
      [here, there] = [there, here];
    }
  } finally {
    // A descriptor that is closed under a running read may be another file's by the time it is used.
    await reading.catch(() => undefined);
    await files.close(fd);
  }
}

/** Fills `buffer` from `position`, but not beyond `end`. */
async function fill(files: Files, fd: number, buffer: Buffer, position: number, end: number): Promise<Buffer> {
  const wanted = Math.min(buffer.length, end - position);
  let done = 0;
  while (done < wanted) {
    const got = await files.read(fd, buffer, done, wanted - done, position + done);
    if (got === 0)
      throw new Error(
        `The file ends at byte ${position + done}, ${end - position - done} bytes before what was promised.`,
      );
    done += got;
  }
  return done === buffer.length ? buffer : buffer.subarray(0, done);
}

/**
 * The far end of a response. Node never calls back a write whose connection died in some ways, so each write is raced
 * against the connection's end; it listens to the socket, because a pipelined response that never got its turn sees no
 * `close` of its own.
 */
class Client {
  readonly #res: ServerResponse;
  #leave: (() => void) | null = null;

  constructor(res: ServerResponse) {
    this.#res = res;
    const { socket } = res.req;
    // A client may pipeline more downloads than the default of 10; each listener is taken off by its own pump.
    socket.setMaxListeners(0);
    socket.once("close", this.#onClose);
  }

  /** Throws ClientGone where nobody reads any more. */
  check(): void {
    if (this.#res.destroyed || this.#res.req.socket.destroyed) throw new ClientGone();
  }

  /** Resolves when the kernel has taken all of `bytes`: only then may they be overwritten. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.check();
      this.#leave = () => reject(new ClientGone());
      this.#res.write(bytes, (error) => {
        if (error) reject(new ClientGone());
        else resolve();
      });
    });
  }

  release(): void {
    this.#res.req.socket.off("close", this.#onClose);
  }

  readonly #onClose = (): void => this.#leave?.();
}
