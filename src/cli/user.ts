/** `zwrm user`: making people, their passwords, and their leaving. */
import { emailKey } from "../wire/email.ts";
import { USER, USERS, WHOAMI } from "../wire/people.ts";
import { anything } from "../wire/schema.ts";
import type { Argument } from "./command.ts";
import { command, readText, switchFlag, textFlag } from "./command.ts";
import { CliError, UsageError } from "./io.ts";
import { askSecrets, askYes } from "./password.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";

const PASSWORD_STDIN = switchFlag("take the password from stdin, for where there is no terminal");

export const USER_ARGUMENT: Argument<string> = {
  placeholder: "USER",
  help: "the user's id or email; emails are found by host-admins",
  read: readText,
};

/** What was given is an id unless it bears an at sign, which no id does. */
export function isEmail(user: string): boolean {
  return user.includes("@");
}

/**
 * The id behind an id or email. Throws CliError, and ClientError `host_admin_required` for an email where the caller is
 * none.
 */
export async function findUserId(session: Session, user: string): Promise<string> {
  if (!isEmail(user)) return user;
  const { users } = understand(USERS, (await session.call("GET", "/v1/users")).body);
  const found = users.find(({ email }) => sameEmail(email, user));
  if (found === undefined) throw new CliError(`There is no user ${user}. "zwrm user list" shows all.`);
  return found.id;
}

export function sameEmail(one: string, other: string): boolean {
  return emailKey(one.trim()) === emailKey(other.trim());
}

export const userCreate = command({
  name: "user create",
  summary: "make a user; for host-admins",
  details:
    "Asks twice for the password, hidden. With --org the user is a member of that org from the start; a " +
    "login needs one, unless it is a host-admin's.",
  args: { email: { placeholder: "EMAIL", help: "what the user logs in with", read: readText } },
  flags: {
    name: textFlag("NAME", "the user's name, which must be given"),
    "host-admin": switchFlag("may do everything, in every org"),
    "password-stdin": PASSWORD_STDIN,
  },
  run: async (session, { email }, flags) => {
    const topic = ["user", "create"];
    const { name } = flags;
    if (name === null) throw new UsageError("--name is missing.", topic);
    const [password] = await askSecrets(
      session.io,
      [{ prompt: `Password for ${email}`, twice: true }],
      flags["password-stdin"],
      "--password-stdin",
      topic,
    );
    const { org, orgFrom } = session.settings;
    const body = {
      email,
      name,
      password,
      ...(flags["host-admin"] ? { host_admin: true } : {}),
      ...(orgFrom === "--org" ? { org } : {}),
    };
    return session.show("POST", "/v1/users", { body }, USER, (made) => {
      const kind = made.host_admin === true ? "a host-admin" : "a user";
      session.line(
        `${made.email} (${made.id}) is ${kind}${orgFrom === "--org" ? ` and a member of ${org ?? ""}` : ""}.`,
      );
    });
  },
});

export const userList = command({
  name: "user list",
  summary: "list the users; for host-admins",
  args: {},
  flags: {},
  run: (session) =>
    session.show("GET", "/v1/users", {}, USERS, ({ users }) => {
      if (users.length === 0)
        return session.note("There is no user yet: zwrm user create EMAIL --name NAME --host-admin");
      const columns = [
        { title: "ID", yields: 3 },
        { title: "EMAIL" },
        { title: "NAME", yields: 2, least: 10 },
        { title: "HOST-ADMIN" },
      ];
      session.table(
        columns,
        users.map((user) => [user.id, user.email, user.name ?? "-", user.host_admin === true ? "yes" : "no"]),
      );
    }),
});

export const userPasswd = command({
  name: "user passwd",
  summary: "set a password, which ends the user's sessions",
  details:
    "Without USER it is your own, and asks for the current one too. With --password-stdin the current " +
    "password is the first line, the new one the second.",
  args: { user: { ...USER_ARGUMENT, placeholder: "[USER]", help: "whose, for host-admins: id or email", absent: "" } },
  flags: { "password-stdin": PASSWORD_STDIN },
  run: async (session, { user }, flags) => {
    const { user: me } = understand(WHOAMI, (await session.call("GET", "/v1/auth/whoami")).body);
    if (me === undefined && user === "")
      throw new CliError("You act without a user here (localhost): say whose password, zwrm user passwd USER.");
    const isMe = user === "" || user === me?.id || (me !== undefined && sameEmail(user, me.email));
    const id = isMe && me !== undefined ? me.id : await findUserId(session, user);
    const fresh = { prompt: "New password", twice: true };
    const secrets = isMe ? [{ prompt: "Current password", twice: false }, fresh] : [fresh];
    const answers = await askSecrets(session.io, secrets, flags["password-stdin"], "--password-stdin", [
      "user",
      "passwd",
    ]);
    const body = isMe ? { current_password: answers[0], password: answers[1] } : { password: answers[0] };
    const after = isMe ? "Your sessions are over: zwrm auth login" : "The user's sessions are over.";
    return session.show("PUT", `/v1/users/${encodeURIComponent(id)}/password`, { body }, anything, () =>
      session.line(`The password is set. ${after}`),
    );
  },
});

export const userRemove = command({
  name: "user remove",
  summary: "remove a user with all sessions, keys and memberships; for host-admins",
  args: { user: USER_ARGUMENT },
  flags: { yes: switchFlag("do not ask") },
  run: async (session, { user }, { yes }) => {
    if (!yes && !session.io.stdin.isTerminal)
      throw new UsageError("There is no terminal to ask at: give --yes.", ["user", "remove"]);
    const id = await findUserId(session, user);
    if (!yes && !(await askYes(session.io, `Remove ${user}? All sessions and keys end at once.`))) {
      session.note("Nothing was changed.");
      return 1;
    }
    return session.show("DELETE", `/v1/users/${encodeURIComponent(id)}`, {}, anything, () =>
      session.line(`${user} is removed.`),
    );
  },
});
