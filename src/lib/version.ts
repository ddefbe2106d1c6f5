/** The version, read once from package.json, which stands one folder above both src/ and dist/. */
import { readFileSync } from "node:fs";

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  if (
    typeof manifest === "object" &&
    manifest !== null &&
    "version" in manifest &&
    typeof manifest.version === "string"
  )
    return manifest.version;
  throw new Error("package.json has no version");
}

export const VERSION: string = readVersion();
