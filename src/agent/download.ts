/**
 * One GET of an image, from a byte on: its status, its size, its bytes as they come. It keeps nothing and tries nothing
 * twice.
 */
import * as http from "node:http";
import * as https from "node:https";
import type { Address } from "../client/address.ts";
import { ClientError, explain } from "../client/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { Watchdog } from "../lib/watchdog.ts";

export interface Download {
  /** The size of the whole image. */
  readonly totalBytes: number;
  /** Where the bytes begin: as asked, or 0 where the server sends the whole. */
  readonly start: number;
  /** Throws a ClientError where the connection breaks or stands still. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Lets go of the connection; to be called whatever happened. */
  readonly abandon: () => void;
}

/**
 * Opens a download of `digest` from byte `start`. Rejects with a ClientError. Where `signal` calls it off, it breaks,
 * also while its bytes come.
 */
export type OpenDownload = (digest: string, start: number, signal: AbortSignal) => Promise<Download>;

export interface DownloadOptions {
  readonly address: Address;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** The longest time without a byte. */
  readonly timeoutMs: number;
}

export function httpDownloads(options: DownloadOptions): OpenDownload {
  return async (digest, start, signal) => {
    const { request, response } = await ask(options, digest, start, signal);
    try {
      return { ...placeOf(response, start), bytes: bytesOf(options, response), abandon: () => void request.destroy() };
    } catch (error) {
      request.destroy();
      throw error;
    }
  };
}

interface Exchange {
  readonly request: http.ClientRequest;
  readonly response: http.IncomingMessage;
}

function ask(options: DownloadOptions, digest: string, start: number, signal: AbortSignal): Promise<Exchange> {
  const { address, headers, clock, timeoutMs } = options;
  const { secure, host, port, socketPath, prefix } = address;
  const place = socketPath === null ? { host, port } : { socketPath, host };
  const range = start > 0 ? { Range: `bytes=${start}-`, "If-Range": `"${digest}"` } : {};
  const path = `${prefix}/v1/internal/images/${encodeURIComponent(digest)}`;
  const call = { ...place, agent: false as const, path, headers: { ...headers, ...range }, signal };
  return new Promise((resolve, reject) => {
    const request = secure ? https.request(call) : http.request(call);
    const cancel = clock.after(timeoutMs, () => request.destroy(tooSlow(address, timeoutMs)));
    request.on("error", (error) => {
      cancel();
      reject(explain(error, address));
    });
    request.on("response", (response) => {
      cancel();
      resolve({ request, response });
    });
    request.end();
  });
}

/** Throws a ClientError for what is no image. */
function placeOf(
  response: http.IncomingMessage,
  start: number,
): { readonly totalBytes: number; readonly start: number } {
  const { statusCode: status = 0, headers } = response;
  if (status === 200) return { totalBytes: whole(headers["content-length"]), start: 0 };
  if (status === 206) {
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers["content-range"] ?? "") ?? [];
    if (first === undefined || Number(first) !== start)
      throw new ClientError("bad_answer", "The control plane sent another part of the image than was asked for.");
    return { totalBytes: whole(total), start };
  }
  const retryAfter = headers["retry-after"] ?? "";
  const code = status === 404 ? "image_not_found" : status === 416 ? "range_not_satisfiable" : "bad_answer";
  throw new ClientError(code, `The control plane answers ${status} to the request for the image.`, {
    status,
    retryAfterSeconds: /^\d+$/.test(retryAfter) ? Number(retryAfter) : null,
  });
}

function whole(text: string | undefined): number {
  const size = /^\d{1,15}$/.test(text ?? "") ? Number(text) : NaN;
  if (Number.isNaN(size)) throw new ClientError("bad_answer", "The control plane does not say how large the image is.");
  return size;
}

async function* bytesOf(
  { address, clock, timeoutMs }: DownloadOptions,
  response: http.IncomingMessage,
): AsyncGenerator<Uint8Array> {
  const watchdog = new Watchdog(clock, timeoutMs, () => void response.destroy(tooSlow(address, timeoutMs)));
  try {
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      yield piece;
      watchdog.pet();
    }
  } catch (error) {
    throw error instanceof ClientError
      ? error
      : new ClientError("closed", `The connection broke while the image came: ${messageOf(error)}.`, { cause: error });
  } finally {
    watchdog.end();
  }
}

function tooSlow({ url }: Address, timeoutMs: number): ClientError {
  return new ClientError("timeout", `${url} has sent no byte of the image for ${timeoutMs / 1000} s.`);
}
