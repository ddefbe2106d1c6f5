/**
 * `zwrm auth`: logging in and out, and who one is. API keys are tokens.ts, the file that keeps a login is
 * credentials.ts.
 */
import { ClientError } from "../client/errors.ts";
import type { Call } from "../client/http.ts";
import { AdvisedError } from "./advice.ts";
import { command, switchFlag, textFlag } from "./command.ts";
import { checkKeeping, forgetLogin, keepLogin } from "./credentials.ts";
import { CliError, UsageError } from "./io.ts";
import { messageOf } from "../lib/errors.ts";
import { LOGIN, WHOAMI } from "../wire/people.ts";
import type { ReceivedWhoami as Whoami } from "../wire/people.ts";
import { askLine, askSecrets } from "./password.ts";
import type { Credentials, Session } from "./session.ts";
import { understand } from "./session.ts";

const LOGIN_TOPIC = ["auth", "login"];
const TOKEN = /^zwrm_(ses|key)_[A-Za-z0-9_-]{43}$/;
const NOBODY: Credentials = { token: null, org: null };

export const login = command({
  name: "auth login",
  summary: "log in, and keep the token in ~/.zwrm/config.toml",
  details: [
    "Asks for the email and, hidden, for the password. With --token it keeps an API key instead, once the " +
      "daemon has said whose it is;",
    "--token - reads it from stdin, so that no list of processes shows it. --org chooses the org to act in;",
    "one login acts in every org of yours: any command takes another --org. An API key acts in its own.",
    "The token is sent to this address only: a command for another --api-url goes without it.",
  ].join("\n"),
  args: {},
  flags: {
    email: textFlag("EMAIL", "who logs in"),
    "password-stdin": switchFlag("take the password from stdin, for where there is no terminal"),
    token: textFlag("TOKEN", "an API key to keep instead; - takes it from stdin"),
  },
  run: async (session, _args, flags) => {
    if (flags.token === null) return logInByPassword(session, flags.email, flags["password-stdin"]);
    if (flags.email !== null || flags["password-stdin"])
      throw new UsageError("--token goes without an email or a password.", LOGIN_TOPIC);
    return logInByToken(session, flags.token);
  },
});

/** The org that was asked for; the kept one is of the login before. */
function askedOrg({ settings: { org, orgFrom, kept } }: Session): string | null {
  return orgFrom === kept.path ? null : org;
}

async function logInByPassword(session: Session, givenEmail: string | null, piped: boolean): Promise<number> {
  const { io } = session;
  if (givenEmail === null && !io.stdin.isTerminal)
    throw new UsageError("There is no terminal to ask at: give --email.", LOGIN_TOPIC);
  const email = givenEmail ?? (await askLine(io, "Email"));
  const [password] = await askSecrets(
    io,
    [{ prompt: "Password", twice: false }],
    piped,
    "--password-stdin",
    LOGIN_TOPIC,
  );
  const org = askedOrg(session);
  const body = { email, password, ...(org === null ? {} : { org }) };
  checkKeeping(session.settings.kept.path);
  const answer = understand(LOGIN, await callAs(session, NOBODY, "POST", "/v1/auth/login", { body }));
  await keepOrEnd(session, answer.token, answer.org.slug);
  // What is shown is all but the token.
  const { token: _token, ...shown } = answer;
  if (session.json) session.printJson({ ...shown, expires_at: answer.expires_at ?? null });
  else
    session.line(
      `Logged in at ${session.url} as ${answer.user.email} in the org ` +
        `${answer.org.slug}${answer.expires_at === undefined ? "" : `, until ${answer.expires_at}`}.`,
    );
  warnOfVariable(session);
  return 0;
}

/** A session that could not be kept is ended: nobody else knows its token. */
async function keepOrEnd(session: Session, token: string, org: string): Promise<void> {
  try {
    keepLogin(session.settings.kept.path, { apiUrl: session.url, org, token });
  } catch (error) {
    const problem = await endSession(session, token);
    throw new CliError(
      `${messageOf(error)} ${problem ?? "The session that was begun is ended again; nothing was kept."}`,
      { cause: error },
    );
  }
}

async function logInByToken(session: Session, given: string): Promise<number> {
  const [token = ""] =
    given === "-"
      ? await askSecrets(session.io, [{ prompt: "Token", twice: false }], true, "--token -", LOGIN_TOPIC)
      : [given];
  if (!TOKEN.test(token.trim()))
    throw new UsageError("That is no token of zwrmd: zwrm_key_ and 43 characters.", LOGIN_TOPIC);
  checkKeeping(session.settings.kept.path);
  const body = await callAs(session, { token: token.trim(), org: askedOrg(session) }, "GET", "/v1/auth/whoami");
  const who = understand(WHOAMI, body);
  keepLogin(session.settings.kept.path, { apiUrl: session.url, org: who.org?.slug ?? null, token: token.trim() });
  if (session.json) session.printJson(body);
  else
    session.line(
      `The token is kept for ${session.url}: it acts for ${who.user?.email ?? "nobody"} in the org ` +
        `${who.org?.slug ?? "-"}${who.expires_at === undefined ? "" : `, until ${who.expires_at}`}.`,
    );
  warnOfVariable(session);
  return 0;
}

/**
 * A call whose refusal speaks for itself: it is about what was just typed, and nobody is logged in to look anything up.
 */
async function callAs(
  session: Session,
  as: Credentials,
  method: string,
  path: string,
  call: Call = {},
): Promise<unknown> {
  try {
    return (await session.as(as).call(method, path, call)).body;
  } catch (error) {
    const isAbout = error instanceof ClientError && (error.code === "unauthorized" || error.code === "org_not_found");
    throw isAbout ? new AdvisedError(error, "Nothing was kept.") : error;
  }
}

function warnOfVariable(session: Session): void {
  if ((session.io.env["ZWRM_TOKEN"] ?? "").trim() !== "")
    session.note("ZWRM_TOKEN is set and goes before what is kept: unset it to use this login.");
}

export const logout = command({
  name: "auth logout",
  summary: "end the session at the daemon, and forget its token",
  details: "A kept API key is forgotten, but stays valid: zwrm auth tokens revoke NAME ends it.",
  args: {},
  flags: {},
  run: async (session) => {
    const { kept, apiUrl, apiUrlFrom } = session.settings;
    if (kept.token === null) {
      session.note(`No token is kept in ${kept.path}.`);
      return 0;
    }
    if (!kept.isHere) {
      throw new CliError(
        `The token in ${kept.path} is for ${kept.apiUrl}, not for ` +
          `${apiUrl}${apiUrlFrom === null ? "" : ` (from ${apiUrlFrom})`}: log out there.`,
      );
    }
    const problem = await endSession(session, kept.token);
    forget(kept.path, problem ?? (isKey(kept.token) ? "" : "Its session is over."));
    if (!session.json)
      session.line(problem === null ? `Logged out of ${session.url}.` : "The token is forgotten here.");
    if (problem === null) return 0;
    session.note(problem);
    return 1;
  },
});

/** What was `done` at the daemon is said too where the file cannot be written. */
function forget(path: string, done: string): void {
  try {
    forgetLogin(path);
  } catch (error) {
    throw new CliError(`${messageOf(error)} The token stays there. ${done}`.trimEnd(), { cause: error });
  }
}

function isKey(token: string): boolean {
  return TOKEN.exec(token)?.[1] === "key";
}

/** Null where it is over, else why it may not be. */
async function endSession(session: Session, token: string): Promise<string | null> {
  if (isKey(token)) {
    session.note(`The API key itself stays valid: "zwrm auth tokens revoke NAME" ends one.`);
    return null;
  }
  try {
    await session.as({ token, org: null }).call("POST", "/v1/auth/logout");
    return null;
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    // Over already.
    if (error.code === "unauthorized") return null;
    return `The daemon could not be told, so the session lasts there until it expires: ${error.message}`;
  }
}

export const whoami = command({
  name: "auth whoami",
  summary: "show who the control plane takes you for, and what you may do",
  args: {},
  flags: {},
  run: (session) => session.show("GET", "/v1/auth/whoami", {}, WHOAMI, (who) => showWhoami(session, who)),
});

function showWhoami(
  session: Session,
  { user, org, access, auth_method: method, scopes, expires_at: expires }: Whoami,
): void {
  session.facts([
    ["user", user === undefined ? "-" : user.email],
    ["org", org === undefined ? "-" : `${org.slug}${org.role === undefined ? "" : ` (${org.role})`}`],
    ["access", access],
    ["by", method],
    ["scopes", scopes === undefined ? "all" : scopes.join(" ")],
    ["expires", expires ?? "never"],
  ]);
}
