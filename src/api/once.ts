/** Changes by people: still allowed when they are decided, and carried out once for each Idempotency-Key. */
import { requireStanding } from "../identity/tokens.ts";
import type { MaybePromise, Reply } from "../http/types.ts";
import { ApiError } from "../lib/errors.ts";
import { sha256Hex } from "../lib/ids.ts";
import { pattern, readField } from "../lib/schema.ts";
import type { IdempotencyNote } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Decision } from "../state/store.ts";
import { idempotencyKey } from "../state/workload-reducers.ts";
import type { ApiContext, App } from "./app.ts";
import { personOf } from "./app.ts";

const KEY = pattern(/^[\x21-\x7e]{1,255}$/, "1 to 255 printable ASCII characters without blanks");

/** A change by someone who may still make it: whoever was removed while their body came in may not. */
export function changeAs(context: ApiContext, app: App, decide: (state: State) => Decision<Reply>): MaybePromise<Reply> {
  const caller = personOf(context);
  return app.store.change(caller.actor, (state) => {
    requireStanding(state, caller, app.clock.wall());
    return decide(state);
  });
}

/**
 * The same for a POST that may bear an Idempotency-Key. Where the key was used for the same request before, nothing is decided: `again` shows what it led to.
 * Throws `idempotency_key_reused` where it was used for another.
 */
export function changeOnce(context: ApiContext, app: App, decide: (state: State, note: IdempotencyNote | null) => Decision<Reply>, again: (state: State, resourceId: string) => Reply): MaybePromise<Reply> {
  const { org } = personOf(context);
  const given = context.header("idempotency-key");
  if (given === null) return changeAs(context, app, (state) => decide(state, null));
  const key = readField(KEY, "Idempotency-Key", given);
  const note = { key, body_sum: sha256Hex(`${context.method} ${context.path}\n${JSON.stringify(context.body ?? {})}`) };
  return changeAs(context, app, (state) => {
    const before = state.idempotency.get(idempotencyKey(org.id, key));
    if (before === undefined) return decide(state, note);
    if (before.body_sum !== note.body_sum) throw new ApiError("idempotency_key_reused", `The Idempotency-Key ${key} was used for another request at ${before.at}. Use a new one.`);
    return { event: null, answer: (after) => again(after, before.resource_id) };
  });
}
