/**
 * Which org has which image: the log's entries joined with the files of the image store. Who may ask is decided above.
 */
import { ApiError, messageOf } from "../lib/errors.ts";
import type { OrgId } from "../lib/id-types.ts";
import type { Log } from "../lib/log.ts";
import type { State } from "../state/state.ts";
import { imageRefKey } from "../state/state.ts";
import type { Change, Reads } from "../state/store.ts";
import type { ImageView } from "../wire/images.ts";
import type { Digest } from "./paths.ts";
import type { ImageStore, ImportLimits } from "./store.ts";
import type { Source } from "./upload.ts";
import { holdsCapacity, isOrphaned } from "../state/workload-reducers.ts";

/** An image on the wire. */
export class ImageLibrary {
  readonly images: ImageStore;
  readonly #store: Reads;
  readonly #log: Log;

  constructor(store: Reads, images: ImageStore, log: Log) {
    this.#store = store;
    this.#log = log;
    this.images = images;
  }

  /**
   * Streams an image in and records the org's reference by `change`, which judges the caller when the last byte is
   * here. `created` is false where the org had it already. Throws what ImageStore.import and `change` throw, and
   * `storage_failed`.
   */
  push(
    digest: Digest,
    orgId: OrgId,
    appId: string | null,
    source: Source,
    limits: ImportLimits,
    change: Change,
  ): Promise<{ created: boolean; image: ImageView }> {
    return this.images.hold(digest, async () => {
      const { sizeBytes } = await this.images.import(digest, source, limits);
      try {
        return await this.#record(digest, orgId, appId, sizeBytes, change);
      } catch (error) {
        // After a failed sync the entry may be on disk all the same, and then it needs its bytes; a stranger costs only
        // space.
        const { writability } = this.#store;
        if (!writability.writable && writability.untilRestart) throw error;
        // Nothing refers to the file now, unless an older entry does.
        await this.images
          .remove(digest, () => this.#store.state.images.get(digest) !== undefined)
          .catch(() => undefined);
        throw error;
      }
    });
  }

  #record(
    digest: Digest,
    orgId: OrgId,
    appId: string | null,
    sizeBytes: number,
    change: Change,
  ): { created: boolean; image: ImageView } | Promise<{ created: boolean; image: ImageView }> {
    return change((state) => {
      const before = state.imageRefs.get(imageRefKey(orgId, digest));
      const nothingNew = before !== undefined && (appId === null || before.app_ids.includes(appId));
      return {
        event: nothingNew
          ? null
          : { type: "image.added", data: { digest, size_bytes: sizeBytes, org_id: orgId, app_id: appId } },
        answer: (after) => ({ created: before === undefined, image: findOwn(after, orgId, digest) }),
      };
    });
  }

  /**
   * Drops the org's own reference by `change`; the bytes go with the last. Throws `image_not_found`, `image_in_use`.
   */
  async drop(digest: Digest, orgId: OrgId, change: Change): Promise<void> {
    await change((state) => {
      findOwn(state, orgId, digest);
      const user = [...state.machines.values()].find(
        (machine) =>
          machine.image === digest && machine.org_id === orgId && holdsCapacity(machine) && !isOrphaned(machine),
      );
      if (user !== undefined)
        throw new ApiError("image_in_use", `Machine ${user.id} of app ${user.app_id} needs ${digest}.`);
      const needed = state.apps
        .group(orgId)
        .find((app) => [app.deployment_id, app.stable_id].some((id) => state.deployments.get(id)?.image === digest));
      if (needed !== undefined)
        throw new ApiError(
          "image_in_use",
          `App ${needed.name} needs ${digest}: its deployment, or the one that it would be rolled back to, is of it.`,
        );
      return { event: { type: "image.removed", data: { digest, org_id: orgId } }, answer: () => undefined };
    });
    // The reference is gone for good; a file that cannot be unlinked is a stranger, which the log and `images verify`
    // tell of.
    await this.images
      .remove(digest, () => this.#store.state.images.get(digest) !== undefined)
      .catch((error: unknown) =>
        this.#log.error("the bytes of a deleted image stay on disk", { digest, reason: messageOf(error) }),
      );
  }
}

/** One org's image. Throws `image_not_found`, also where another org has it: that is none of this one's business. */
export function findOwn(state: State, orgId: OrgId, digest: Digest): ImageView {
  const ref = state.imageRefs.get(imageRefKey(orgId, digest));
  const image = state.images.get(digest);
  if (ref === undefined || image === undefined) throw imageNotFound(digest);
  return { digest, size_bytes: image.size_bytes, app_ids: ref.app_ids, created_at: ref.created_at };
}

/** The images of one org. */
export function listOwn(state: State, orgId: OrgId): ImageView[] {
  const views: ImageView[] = [];
  for (const ref of state.imageRefs.values()) if (ref.org_id === orgId) views.push(findOwn(state, orgId, ref.digest));
  return views;
}

/** Every image with the app_ids of every org: what agents see. */
export function listAll(state: State): ImageView[] {
  return [...state.images.values()].map((image) => {
    const appIds = new Set(state.imageRefs.group(image.digest).flatMap((ref) => ref.app_ids));
    return {
      digest: image.digest,
      size_bytes: image.size_bytes,
      app_ids: [...appIds].sort(),
      created_at: image.created_at,
    };
  });
}

export function imageNotFound(digest: Digest): ApiError {
  return new ApiError("image_not_found", `There is no image ${digest} here.`);
}
