/** What the settings of a run are, and the keys of the user's file. Where they are taken from is settings.ts. */

export const KEYS = ["api_url", "org", "token"] as const;
export type Key = (typeof KEYS)[number];

/** What the user's file says: one login, so its token and org are for its address alone. */
export interface Kept {
  /** The file, whether it is there or not. */
  readonly path: string;
  readonly apiUrl: string;
  readonly token: string | null;
  /** Whether this run talks to that address. */
  readonly isHere: boolean;
}

export interface Settings {
  readonly apiUrl: string;
  /** Where the URL was taken from, for messages: `--api-url`, `ZWRM_API_URL`, a file, or null for the default. */
  readonly apiUrlFrom: string | null;
  readonly org: string | null;
  readonly orgFrom: string | null;
  readonly token: string | null;
  /** `ZWRM_TOKEN`, a file, or null where there is no token. */
  readonly tokenFrom: string | null;
  readonly kept: Kept;
  /** Why the kept token is not sent, where it is not: it was made for another address. */
  readonly withheld: string | null;
  readonly warnings: readonly string[];
}
