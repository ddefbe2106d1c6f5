/** The quota as the config has it, under the words of the wire. */
import type { Config } from "../config/schema.ts";
import type { QuotaLimits } from "../wire/quota.ts";

export function quotaLimits(config: Config["quota"]): QuotaLimits {
  const { apps, replicas, cpus, memoryMb, envBytes, images, imageBytes, labels } = config;
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
