/** /v1/images for people (their org's own) and /v1/internal/images for agents (all of them). */
import { drained } from "../http/drained.ts";
import type { BodyPump, MaybePromise, Reply } from "../http/types.ts";
import { empty, json } from "../http/respond.ts";
import { decideImage } from "../images/decide.ts";
import { findOwn, imageNotFound, listAll, listOwn } from "../images/library.ts";
import type { ImageView } from "../images/library.ts";
import type { Digest } from "../images/paths.ts";
import { readDigest } from "../images/paths.ts";
import { verifyImages } from "../images/verify.ts";
import { ApiError } from "../lib/errors.ts";
import { LABEL_PATTERN } from "../lib/ids.ts";
import { pattern, readField } from "../lib/schema.ts";
import type { ApiContext, App, Services } from "./app.ts";
import { param, personOf } from "./app.ts";
import { listReply } from "./lists.ts";

const APP_ID = pattern(LABEL_PATTERN, "1 to 64 of A-Z a-z 0-9 . _ -");

function digestOf(context: ApiContext): Digest {
  return readDigest(param(context, "digest"));
}

function appIdOf(context: ApiContext): string | null {
  const text = context.query.get("app_id");
  return text === null ? null : readField(APP_ID, "app_id", text);
}

function listImages(context: ApiContext, views: readonly ImageView[]): Reply {
  const appId = appIdOf(context);
  const rows = appId === null ? views : views.filter((view) => view.app_ids.includes(appId));
  return listReply(context, "images", rows, (row) => row.digest);
}

export function listAllImages(context: ApiContext, app: Services): MaybePromise<Reply> {
  return app.store.read((state) => listImages(context, listAll(state)));
}

export function listOwnImages(context: ApiContext, app: App): MaybePromise<Reply> {
  const { org } = personOf(context);
  return app.store.read((state) => listImages(context, listOwn(state, org.id)));
}

export function showOwnImage(context: ApiContext, app: App): MaybePromise<Reply> {
  const { org } = personOf(context);
  const digest = digestOf(context);
  return app.store.read((state) => json(200, findOwn(state, org.id, digest)));
}

/** GET and HEAD. A file that is gone in spite of its entry is said so, not served as something else. */
export async function downloadImage(context: ApiContext, app: Services): Promise<Reply> {
  const digest = digestOf(context);
  // Until the answer is complete: a removal in between comes after it, and is no broken download.
  void app.library.images.hold(digest, () => new Promise<void>((resolve) => context.onFinish(() => resolve())));
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
  const { status, headers, start, end } = decideImage(digest, image.size_bytes, (name) => context.header(name));
  if (status === 416) {
    app.metrics.imageDownloads.labels("unsatisfiable").inc();
    throw new ApiError("range_not_satisfiable", `The range lies outside the image's ${image.size_bytes} bytes.`, {
      headers,
    });
  }
  if (status === 304) app.metrics.imageDownloads.labels("not_modified").inc();
  if (status === 304 || context.method === "HEAD") return { status, headers, body: null };
  context.onFinish(({ aborted }) => app.metrics.imageDownloads.labels(aborted ? "aborted" : "completed").inc());
  return { status, headers, body: app.library.images.body(digest, start, end) };
}

export async function pushImage(context: ApiContext, app: App): Promise<Reply> {
  const { org } = personOf(context);
  const digest = digestOf(context);
  const appId = appIdOf(context);
  const length = context.header("content-length");
  const limits = { declaredBytes: length === null ? null : Number(length), maxBytes: app.maxImageBytes };
  if (context.stream === null) throw new Error(`${context.pattern} does not stream its body`);
  const { created, image } = await app.library.push(
    digest,
    org.id,
    appId,
    app.door.whileStanding(context, context.stream),
    limits,
    app.door.changeOf(context),
  );
  return json(created ? 201 : 200, image);
}

export async function deleteImage(context: ApiContext, app: App): Promise<Reply> {
  await app.library.drop(digestOf(context), personOf(context).org.id, app.door.changeOf(context));
  return empty(204);
}

/**
 * Hashes every image again and sets aside what is wrong: what `zwrmd images verify` asks of a running daemon. A finding
 * is sent as soon as it is there.
 */
export async function verifyStore(context: ApiContext, app: App): Promise<Reply> {
  const { verification } = app;
  // One at a time: two would only halve the disk between them.
  await app.library.images.requireFolder();
  const before = verification.last;
  verification.last = new Promise((resolve) => context.onFinish(() => resolve()));
  const known = await app.store.read((state) =>
    [...state.images.values()].map((image) => ({ digest: image.digest, sizeBytes: image.size_bytes })),
  );
  const gone = new AbortController();
  context.onFinish(() => gone.abort());
  const signal = AbortSignal.any([gone.signal, verification.signal]);
  const body: BodyPump = async (res, sent) => {
    const write = async (text: string): Promise<void> => {
      sent(Buffer.byteLength(text));
      if (!res.write(text) && !res.destroyed) await drained(res);
    };
    await before;
    // The turn of this one may come long after it was asked for.
    if (!app.door.stands(context)) throw new Error("who asked for the verification may not ask any more");
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
