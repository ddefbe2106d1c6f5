/** `zwrm quota`: how much an org may have, and has. */
import { QUOTA, QUOTA_KIND, QUOTA_MEANING } from "../wire/quota.ts";
import type { QuotaKind } from "../wire/quota.ts";
import { command, wholeFlag } from "./command.ts";
import type { ValueFlag } from "./command.ts";
import { ORG_ARGUMENT } from "./org.ts";
import type { Session } from "./session.ts";
import type { Received } from "../wire/schema.ts";

const MOST = { min: 0, max: 999_999_999_999_999 };

function flagOf(kind: QuotaKind): string {
  return kind.replaceAll("_", "-");
}

// The words are exactly the keys.
const FLAGS = Object.fromEntries(
  QUOTA_KIND.words.map((kind) => [flagOf(kind), wholeFlag("N", `at most so many ${QUOTA_MEANING[kind]}`, MOST)]),
) as Readonly<Record<string, ValueFlag<number>>>;

function print(session: Session, { limits, used, own }: Received<typeof QUOTA>): void {
  session.table(
    [{ title: "NAME" }, { title: "USED" }, { title: "LIMIT" }, { title: "SET BY" }],
    QUOTA_KIND.words.map((kind) => [
      kind,
      String(used[kind]),
      String(limits[kind]),
      own.includes(kind) ? "zwrm quota set" : "config",
    ]),
  );
}

export const quota = command({
  name: "quota",
  summary: "show how much your org may have, and has",
  args: {},
  flags: {},
  run: (session) => session.show("GET", "/v1/org/quota", {}, QUOTA, (shown) => print(session, shown)),
});

export const quotaSet = command({
  name: "quota set",
  summary: "set how much an org may have; for host-admins",
  details: "What is not named is what [quota] in the daemon's config says again.",
  args: { org: ORG_ARGUMENT },
  flags: FLAGS,
  run: (session, { org }, flags) => {
    const body = Object.fromEntries(
      QUOTA_KIND.words.flatMap((kind) => {
        const limit = flags[flagOf(kind)];
        return typeof limit === "number" ? [[kind, limit]] : [];
      }),
    );
    const path = `/v1/orgs/${encodeURIComponent(org)}/quota`;
    return session.show("PUT", path, { body }, QUOTA, (shown) => print(session, shown));
  },
});
