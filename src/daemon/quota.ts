/** The quota of the config as the store asks for it: replaced by a reload, and counted where it refuses. */
import type { Config } from "../config/schema.ts";
import { ApiError } from "../lib/errors.ts";
import type { Metrics } from "../metrics/catalogue.ts";
import { requireQuota } from "../state/quota.ts";
import type { Admission } from "../state/store.ts";
import type { QuotaLimits } from "../wire/quota.ts";

export class Quota {
  #defaults: QuotaLimits;
  readonly #refusals: Metrics["quotaRefusals"];

  constructor(config: Config["quota"], refusals: Metrics["quotaRefusals"]) {
    this.#defaults = limits(config);
    this.#refusals = refusals;
  }

  get defaults(): QuotaLimits {
    return this.#defaults;
  }

  replace(config: Config["quota"]): void {
    this.#defaults = limits(config);
  }

  /** Throws `quota_exceeded`. */
  readonly admit: Admission = (state, event) => {
    try {
      requireQuota(state, this.#defaults, event);
    } catch (error) {
      if (error instanceof ApiError && error.code === "quota_exceeded")
        this.#refusals.labels(String(error.extra["quota"])).inc();
      throw error;
    }
  };
}

function limits({
  apps,
  replicas,
  cpus,
  memoryMb,
  envBytes,
  images,
  imageBytes,
  labels,
}: Config["quota"]): QuotaLimits {
  return {
    apps,
    replicas,
    cpus,
    memory_mb: memoryMb,
    env_bytes: envBytes,
    images,
    image_bytes: imageBytes,
    labels,
  };
}
