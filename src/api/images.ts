/** /v1/images for people (their org's own) and /v1/internal/images for agents (all of them). */
import { drained } from "../http/drained.ts";
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { BodyPump, MaybePromise, Reply } from "../http/types.ts";
import { decideImage } from "../images/decide.ts";
import { findOwn, imageNotFound, listAll, listOwn } from "../images/library.ts";
import { readDigest } from "../images/paths.ts";
import { verifyImages } from "../images/verify.ts";
import { ApiError } from "../lib/errors.ts";
import type { Page, PageQuery } from "../wire/common.ts";
import type { QueryOf } from "../wire/call.ts";
import type { ImageView, PUSH_QUERY } from "../wire/images.ts";
import type { App, Services } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest, Request } from "./request.ts";

type OfImage<B = unknown, Q = unknown> = PersonRequest<"digest", B, Q>;
type Labelled = QueryOf<typeof PUSH_QUERY>;
type List = JsonReply<200, Page<"images", ImageView>>;

function listImages(query: PageQuery & Labelled, views: readonly ImageView[]): List {
  const { app_id: appId } = query;
  const rows = appId === undefined ? views : views.filter((view) => view.app_ids.includes(appId));
  return listReply(query, "images", rows, (row) => row.digest);
}

export function listAllImages(
  { query }: Request<never, unknown, PageQuery & Labelled>,
  app: Services,
): MaybePromise<List> {
  return app.store.read((state) => listImages(query, listAll(state)));
}

export function listOwnImages(
  { caller, query }: PersonRequest<never, unknown, PageQuery & Labelled>,
  app: App,
): MaybePromise<List> {
  return app.store.read((state) => listImages(query, listOwn(state, caller.org.id)));
}

export function showOwnImage({ caller, params }: OfImage, app: App): MaybePromise<JsonReply<200, ImageView>> {
  const digest = readDigest(params.digest);
  return app.store.read((state) => json(200, findOwn(state, caller.org.id, digest)));
}

/** GET and HEAD. A file that is gone in spite of its entry is said so, not served as something else. */
export async function downloadImage({ params, transport }: Request<"digest">, app: Services): Promise<Reply> {
  const digest = readDigest(params.digest);
  // Until the answer is complete: a removal in between comes after it, and is no broken download.
  void app.library.images.hold(digest, () => new Promise<void>((resolve) => transport.onFinish(() => resolve())));
  const image = await app.store.read((state) => state.images.get(digest));
  if (image === undefined) {
    app.metrics.imageDownloads.labels("not_found").inc();
    throw imageNotFound(digest);
  }
  if ((await app.library.images.sizeOf(digest)) !== image.size_bytes) {
    app.metrics.imageDownloads.labels("missing").inc();
    throw new ApiError(
      "image_missing",
      `The bytes of ${digest} are not on disk. Push the image again: zwrm image push FILE`,
    );
  }
  const { status, headers, start, end } = decideImage(digest, image.size_bytes, (name) => transport.header(name));
  if (status === 416) {
    app.metrics.imageDownloads.labels("unsatisfiable").inc();
    throw new ApiError("range_not_satisfiable", `The range lies outside the image's ${image.size_bytes} bytes.`, {
      headers,
    });
  }
  if (status === 304) app.metrics.imageDownloads.labels("not_modified").inc();
  if (status === 304 || transport.method === "HEAD") return { status, headers, body: null };
  transport.onFinish(({ aborted }) => app.metrics.imageDownloads.labels(aborted ? "aborted" : "completed").inc());
  return { status, headers, body: app.library.images.body(digest, start, end) };
}

export async function pushImage(
  request: OfImage<AsyncIterable<Uint8Array>, Labelled>,
  app: App,
): Promise<JsonReply<201, ImageView> | JsonReply<200, ImageView>> {
  const digest = readDigest(request.params.digest);
  const length = request.transport.header("content-length");
  const limits = { declaredBytes: length === null ? null : Number(length), maxBytes: app.maxImageBytes };
  const { created, image } = await app.library.push(
    digest,
    request.caller.org.id,
    request.query.app_id ?? null,
    request.whileStanding(request.body),
    limits,
    request.changing,
  );
  return json(created ? 201 : 200, image);
}

export async function deleteImage(request: OfImage, app: App): Promise<EmptyReply<204>> {
  await app.library.drop(readDigest(request.params.digest), request.caller.org.id, request.changing);
  return empty(204);
}

/**
 * Hashes every image again and sets aside what is wrong: what `zwrmd images verify` asks of a running daemon. A finding
 * is sent as soon as it is there.
 */
export async function verifyStore(request: PersonRequest, app: App): Promise<Reply> {
  const { verification } = app;
  const { transport } = request;
  // One at a time: two would only halve the disk between them.
  await app.library.images.requireFolder();
  const before = verification.last;
  verification.last = new Promise((resolve) => transport.onFinish(() => resolve()));
  const known = await app.store.read((state) =>
    [...state.images.values()].map((image) => ({ digest: image.digest, sizeBytes: image.size_bytes })),
  );
  const gone = new AbortController();
  transport.onFinish(() => gone.abort());
  const signal = AbortSignal.any([gone.signal, verification.signal]);
  const body: BodyPump = async (res, sent) => {
    const write = async (text: string): Promise<void> => {
      sent(Buffer.byteLength(text));
      if (!res.write(text) && !res.destroyed) await drained(res);
    };
    await before;
    // The turn of this one may come long after it was asked for.
    if (!request.stands()) throw new Error("who asked for the verification may not ask any more");
    let separator = '{"findings":[';
    for await (const finding of verifyImages(app.library.images, known, signal)) {
      await write(`${separator}${JSON.stringify(finding)}`);
      separator = ",";
    }
    // A body that was cut short must not look whole.
    if (signal.aborted) throw new Error("the verification was stopped");
    await write(separator === "," ? "]}" : `${separator}]}`);
  };
  return { status: 200, headers: { "Content-Type": "application/json", "Cache-Control": "no-store" }, body };
}
