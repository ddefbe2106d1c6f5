/** Images for tests: bytes with their digest, and where the daemon keeps them. */
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";

export interface TestImage {
  readonly bytes: Buffer;
  readonly hex: string;
  readonly digest: string;
}

export function imageOf(content: Buffer | string): TestImage {
  const bytes = Buffer.from(content);
  const hex = createHash("sha256").update(bytes).digest("hex");
  return { bytes, hex, digest: `sha256:${hex}` };
}

/** `size` bytes in which no two MiB are equal. */
export function largeImage(size: number): TestImage {
  const seed = randomBytes(1 << 20);
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += seed.length) {
    seed.copy(bytes, at);
    bytes.writeUInt32LE(at >>> 20, at);
  }
  return imageOf(bytes);
}

/** `<images_dir>/sha256/<first two hex>/<64 hex>` */
export function pathOf(imagesDir: string, image: TestImage): string {
  return join(imagesDir, "sha256", image.hex.slice(0, 2), image.hex);
}
