/**
 * What to do about an error of the API, where its own sentence does not say it; one line a code. And that sentence in
 * the words of a command line.
 */
import type { LocalCode } from "../client/errors.ts";
import { ClientError } from "../client/errors.ts";
import type { ErrorCode } from "../lib/errors.ts";
import type { Settings } from "./settings-shape.ts";

const ADVICE: Readonly<Partial<Record<ErrorCode | LocalCode, string>>> = {
  host_admin_required: "On the control plane's own host, zwrm acts as one.",
  token_not_found: `"zwrm auth tokens list" shows the ids.`,
  too_many_logins: "Try again in a moment.",
  user_not_found: `"zwrm user list" shows the ids to a host-admin.`,
  compacted: `Without --after, "zwrm events" begins with the oldest that is left.`,
  ahead_of_log: `Without --after, "zwrm events" begins with the oldest that is left.`,
  host_not_found: `"zwrm host list" shows the ids.`,
  no_drain: `"zwrm host drain ID" starts one.`,
  host_in_maintenance: `"zwrm host activate ID" brings it back first.`,
  host_not_draining: `"zwrm host status ID" shows its mode.`,
  host_online: `"zwrm host drain ID" takes it out of service.`,
  host_not_in_maintenance: `"zwrm host status ID" shows its mode.`,
  app_not_found: `"zwrm apps" shows your apps.`,
  app_exists: `"zwrm apps show NAME" shows it.`,
  app_has_machines: `"zwrm apps rm NAME --force" deletes them too.`,
  no_deployment: `"zwrm deploy APP --image DIGEST" makes the first one.`,
  deployment_not_found: `"zwrm apps show NAME" shows the app's deployments.`,
  machine_not_found: `"zwrm machines" shows the ids.`,
  machine_state: `"zwrm machines show ID" shows its state.`,
  image_unknown:
    `"zwrm image list" shows your images; "zwrm image push FILE", or "zwrm deploy APP --image ` + `FILE", brings one.`,
  idempotency_key_reused: "Run the command again: each run has a key of its own.",
  image_not_found: `"zwrm image list" shows your images.`,
  image_in_use: "Stop or delete what needs it first.",
  image_too_large: "images.max_bytes in the daemon's configuration sets the limit.",
  digest_mismatch: "The file was changed while it was pushed, or the network damaged it: push it again.",
  storage_failed: "The control plane's disk needs room or repair; its log says which.",
  storage_full: "Drop images, or give the control plane more disk.",
  shutting_down: "Try again in a moment.",
  too_many_connections: "Try again in a moment.",
  route_not_found: "The daemon is older than this zwrm, or the address is not zwrmd's.",
  not_available_yet: "A newer daemon may serve it.",
  internal: "The daemon's log has the details under the request id.",
};

/** What calls upon a person to do something. What the API's own sentence calls for is not said a second time. */
const CALLS: readonly RegExp[] = [
  /\bask\b/i,
  /\btry again\b/i,
  /\bpush\b/i,
  /\bdeploy\b/i,
  /\bactivate\b/i,
  /\bforce\b/,
  /\bnew one\b|\bRun the command again\b/i,
  /\bhas the details\b/,
  /\broom\b|Changes are off/,
  /\btokens list\b/,
];

/** A failure of a call for which the command itself knows what to do; the table's advice would be wrong. */
export class AdvisedError extends ClientError {
  readonly advice: string | null;

  constructor(error: ClientError, advice: string | null) {
    const { code, message, status, ...details } = error;
    super(code, message, { ...details, ...(status === null ? {} : { status }), cause: error });
    this.advice = advice;
  }
}

/** The API's words for what a flag says. */
const WORDS: readonly (readonly [words: RegExp, flag: string])[] = [
  [/\?force=true/g, "--force"],
  [/ \(Authorization: Bearer …\)/g, ""],
];

/** A field of a body, where it has not the name of its flag. */
const FLAGS: Readonly<Record<string, string>> = {
  expires_at: "--expires",
  scopes: "--scope",
  memory_mb: "--memory",
  progress_deadline_seconds: "--progress-deadline",
  on_host_loss: "--on-host-loss",
  max_parallel: "--max-parallel",
  deadline_seconds: "--deadline",
  dry_run: "--dry-run",
  host_admin: "--host-admin",
};

/** The API's sentence, in which nothing is called as only a program calls it. */
export function inFlags(message: string): string {
  const worded = WORDS.reduce((text, [words, flag]) => text.replace(words, flag), message);
  return worded.replace(/^[a-z_]+(?= )/, (field) => FLAGS[field] ?? field);
}

/** A sentence, or null where there is nothing to add. */
export function adviceOn(error: ClientError, settings: Settings): string | null {
  if (error instanceof AdvisedError) return error.advice;
  switch (error.code) {
    case "unauthorized":
      return adviceOnToken(error, settings);
    case "forbidden":
      // A field at fault is named by the sentence itself.
      return error.field === null ? `"zwrm auth whoami" shows what you may do.` : null;
    case "org_not_found":
      // A key is of one org, and its sentence says what to do.
      return error.message.includes("zwrm auth login") ? null : `"zwrm org list" shows the orgs that you may act in.`;
    case "unreachable":
    case "bad_url":
    case "tls":
    case "bad_answer":
      return settings.apiUrlFrom === null
        ? "That is the default address; --api-url, ZWRM_API_URL or api_url in ~/.zwrm/config.toml gives another."
        : `The address is from ${settings.apiUrlFrom}.`;
    case "bad_header":
      return "Check the token and the org.";
    default: {
      const advice = Object.entries(ADVICE).find(([code]) => code === error.code)?.[1] ?? null;
      return advice === null || CALLS.some((call) => call.test(advice) && call.test(error.message)) ? null : advice;
    }
  }
}

function adviceOnToken({ message }: ClientError, { token, tokenFrom, withheld }: Settings): string | null {
  if (withheld !== null) return `${withheld} Log in there: zwrm auth login`;
  if (token === null)
    return (
      "No token was sent: log in with zwrm auth login, or set ZWRM_TOKEN, or run zwrm on the control " +
      "plane's own host."
    );
  if (tokenFrom === "ZWRM_TOKEN")
    return "That token is from ZWRM_TOKEN, which goes before a login: set another there, or unset it.";
  return message.includes("zwrm auth login")
    ? null
    : "The token may have expired or been revoked: log in again with zwrm auth login";
}
