/** Lets host agents in by the SHA-256 of the licence key; knows hashes only, never a key. */
import { ApiError } from "../lib/errors.ts";
import { equalSecrets } from "../lib/ids.ts";

/**
 * Checks the bearer token of an internal request against every configured hash, in time that does not tell which one
 * was close. Throws 401 or 503.
 */
export function checkLicence(keyHashes: readonly string[], token: string | null): void {
  if (keyHashes.length === 0) {
    throw new ApiError(
      "license_not_configured",
      "No licence is configured, so no agent can be let in. Set license.key_hashes (or ZWRM_LICENSE_KEY) " +
        "and restart, or reload with SIGHUP.",
      {
        headers: { "Retry-After": "30" },
      },
    );
  }
  let found = false;
  for (const hash of keyHashes) found = (token !== null && equalSecrets(hash, token)) || found;
  if (!found) {
    const what =
      token === null ? "no bearer token was sent" : "the bearer token is not the hash of a licence key known here";
    throw new ApiError(
      "unauthorized",
      `Agents authenticate with the lower-case hex SHA-256 of the licence key: ${what}.`,
    );
  }
}
