/** `zwrm auth tokens`: API keys of one's own. The one place where a token is shown, once, alone on stdout. */
import { parseDuration } from "../lib/duration.ts";
import { toRfc3339 } from "../lib/clock.ts";
import { readField } from "../wire/schema.ts";
import { timestamp } from "../wire/time.ts";
import { ClientError } from "../client/errors.ts";
import { API_KEYS, NEW_API_KEY } from "../wire/people.ts";
import type { ValueFlag } from "./command.ts";
import { command, listFlag, readText } from "./command.ts";
import { ageOf } from "./format.ts";
import { CliError } from "./io.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import type { Column } from "./table.ts";

const ID = /^key_[0-9a-f]{8,}$/;
/** A hundred years: whoever means for ever leaves the flag out. */
const LONGEST_MS = 36_525 * 86_400_000;

/** From now, or at a time; which now is, only the run knows. */
type Expiry = (nowWall: number) => string;

const EXPIRES: ValueFlag<Expiry> = {
  placeholder: "WHEN",
  help: "when the key ends: a duration such as 90d, or an RFC 3339 time (default never)",
  read: (text) => {
    const ms = parseDuration(text);
    if (ms !== null && ms >= 1_000 && ms <= LONGEST_MS) return (nowWall) => toRfc3339(nowWall + ms);
    const at = ms === null ? readTime(text) : null;
    if (at === null) throw new Error("must be a duration from 1s to 36525d, or a time such as 2027-01-31T00:00:00Z");
    return () => at;
  },
};

function readTime(text: string): string | null {
  try {
    return readField(timestamp, "expires", text);
  } catch {
    return null;
  }
}

export const tokensCreate = command({
  name: "auth tokens create",
  summary: "make an API key and show it, this once",
  details: [
    "The key acts for you, in the org that you act in. Without --scope it may do all that you may. It is " +
      "the only thing on stdout.",
    "Scopes: hosts:read, hosts:write, images:read, images:write, apps:read, apps:write, status:read, admin.",
  ].join("\n"),
  args: { name: { placeholder: "NAME", help: "what it is for, such as ci", read: readText } },
  flags: { scope: listFlag("SCOPE", "what it may do; several with commas, or the flag again"), expires: EXPIRES },
  run: async (session, { name }, { scope, expires }) => {
    const body = {
      name,
      ...(scope === null ? {} : { scopes: scope }),
      ...(expires === null ? {} : { expires_at: expires(session.io.clock.wall()) }),
    };
    const answer = await session.call("POST", "/v1/auth/tokens", { body });
    if (session.json) {
      session.printJson(answer.body);
      return 0;
    }
    const made = understand(NEW_API_KEY, answer.body);
    session.line(made.token);
    session.note(
      `The key ${made.name} (${made.id}) may do ${made.scopes?.join(", ") ?? "all that you may"} and ends ` +
        `${made.expires_at ?? "never"}. It is shown this once.`,
    );
    return 0;
  },
});

export const tokensList = command({
  name: "auth tokens list",
  summary: "list your API keys in the org, without the keys themselves",
  args: {},
  flags: {},
  run: (session) =>
    session.show("GET", "/v1/auth/tokens", {}, API_KEYS, ({ tokens }) => {
      if (tokens.length === 0) return session.note("You have no API key here: zwrm auth tokens create NAME");
      const now = session.io.clock.wall();
      const columns: readonly Column[] = [
        { title: "ID", yields: 2 },
        { title: "NAME" },
        { title: "SCOPES", yields: 4, least: 12 },
        { title: "AGE", right: true, yields: 5 },
        { title: "EXPIRES", yields: 3 },
      ];
      const endOf = (at: string | undefined): string =>
        at === undefined ? "never" : Date.parse(at) <= now ? `${at} (over)` : at;
      session.table(
        columns,
        tokens.map((key) => [
          key.id,
          key.name,
          key.scopes?.join(" ") ?? "all",
          ageOf(key.created_at, now),
          endOf(key.expires_at),
        ]),
      );
    }),
});

export const tokensRevoke = command({
  name: "auth tokens revoke",
  summary: "end an API key, from the next request on",
  args: {
    key: {
      placeholder: "NAME|ID",
      help: `the key's name or id, as "zwrm auth tokens list" shows them`,
      read: readText,
    },
  },
  flags: {},
  run: async (session, { key }) => {
    // A key may be called what looks like an id, and an id may be of another org's list.
    const isGone = ID.test(key) && (await revoke(session, key));
    const found = isGone ? null : await findKey(session, key);
    if (found !== null && !(await revoke(session, found.id))) throw notThere(key);
    if (!session.json)
      session.line(
        found === null || found.id === key ? `${key} is revoked.` : `${found.name} (${found.id}) is revoked.`,
      );
    return 0;
  },
});

/** False where there is no key with this id. */
async function revoke(session: Session, id: string): Promise<boolean> {
  try {
    await session.call("DELETE", `/v1/auth/tokens/${encodeURIComponent(id)}`);
    return true;
  } catch (error) {
    if (error instanceof ClientError && error.code === "token_not_found") return false;
    throw error;
  }
}

/** The one key with this id or name. Throws CliError where there is none, or more than one of the name. */
async function findKey(session: Session, key: string): Promise<{ readonly id: string; readonly name: string }> {
  const { tokens } = understand(API_KEYS, (await session.call("GET", "/v1/auth/tokens")).body);
  const named = tokens.filter(({ id, name }) => id === key || name === key);
  const [found, other] = named;
  if (found === undefined) throw notThere(key);
  if (other === undefined) return found;
  const now = session.io.clock.wall();
  const each = named.map(
    ({ id, created_at: at, expires_at: end }) => `${id} (${ageOf(at, now)} old, ends ${end ?? "never"})`,
  );
  throw new CliError(
    `${named.length} of your keys are called ${key}: ${each.join(", ")}. Say which by its id; nothing was revoked.`,
  );
}

function notThere(key: string): CliError {
  return new CliError(`You have no API key ${key} here; zwrm auth tokens list shows those that you have.`);
}
