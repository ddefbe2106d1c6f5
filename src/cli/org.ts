/** `zwrm org`: the orgs and who is in them. */
import { MEMBERS, ORG, ORGS } from "../wire/people.ts";
import { anything } from "../wire/schema.ts";
import type { Argument } from "./command.ts";
import { choiceFlag, command, readText, textFlag } from "./command.ts";
import { CliError, UsageError } from "./io.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import { findUserId, isEmail, sameEmail, USER_ARGUMENT } from "./user.ts";

export const ORG_ARGUMENT: Argument<string> = {
  placeholder: "ORG",
  help: `the org's slug or id, as "zwrm org list" shows them`,
  read: readText,
};

function membersPath(org: string, userId?: string): string {
  return `/v1/orgs/${encodeURIComponent(org)}/members${userId === undefined ? "" : `/${encodeURIComponent(userId)}`}`;
}

export const orgCreate = command({
  name: "org create",
  summary: "make an org; for host-admins",
  args: { slug: { placeholder: "SLUG", help: "its short name: a-z 0-9 and hyphens", read: readText } },
  flags: { name: textFlag("NAME", "its name for people (default: the slug)") },
  run: (session, { slug }, { name }) => {
    const body = { slug, ...(name === null ? {} : { name }) };
    return session.show("POST", "/v1/orgs", { body }, ORG, (made) =>
      session.line(`The org ${made.slug} (${made.id}) is made.`),
    );
  },
});

export const orgList = command({
  name: "org list",
  summary: "list the orgs that you may act in",
  args: {},
  flags: {},
  run: (session) =>
    session.show("GET", "/v1/orgs", {}, ORGS, ({ orgs }) => {
      session.table(
        [{ title: "ID", yields: 2 }, { title: "SLUG" }, { title: "NAME", yields: 1, least: 12 }],
        orgs.map(({ id, slug, name }) => [id, slug, name ?? "-"]),
      );
    }),
});

export const orgMembers = command({
  name: "org members",
  summary: "list who is in an org",
  args: { org: ORG_ARGUMENT },
  flags: {},
  run: (session, { org }) =>
    session.show("GET", membersPath(org), {}, MEMBERS, ({ members }) => {
      if (members.length === 0)
        return session.note(`Nobody is in ${org} yet: zwrm org members set ${org} USER --role owner`);
      const columns = [
        { title: "ID", yields: 3 },
        { title: "EMAIL" },
        { title: "NAME", yields: 2, least: 10 },
        { title: "ROLE" },
      ];
      session.table(
        columns,
        members.map(({ id, email, name, role }) => [id, email, name ?? "-", role]),
      );
    }),
});

export const orgMembersSet = command({
  name: "org members set",
  summary: "put a user into an org, or change the role; for its owners and host-admins",
  args: { org: ORG_ARGUMENT, user: USER_ARGUMENT },
  flags: { role: choiceFlag("ROLE", "owner or member, which must be given", ["owner", "member"]) },
  run: async (session, { org, user }, { role }) => {
    if (role === null) throw new UsageError("--role is missing.", ["org", "members", "set"]);
    const id = (await findMemberId(session, org, user)) ?? (await findUserId(session, user));
    return session.show("PUT", membersPath(org, id), { body: { role } }, anything, () =>
      session.line(`${user} is ${role} of ${org}.`),
    );
  },
});

export const orgMembersRemove = command({
  name: "org members remove",
  summary: "take a user out of an org, with the sessions and keys for it; for its owners and host-admins",
  args: { org: ORG_ARGUMENT, user: USER_ARGUMENT },
  flags: {},
  run: async (session, { org, user }) => {
    const id = await findMemberId(session, org, user);
    if (id === null) throw new CliError(`${user} is not in ${org}. "zwrm org members ${org}" shows who is.`);
    return session.show("DELETE", membersPath(org, id), {}, anything, () =>
      session.line(`${user} is no longer in ${org}.`),
    );
  },
});

/**
 * An id is taken as it stands; an email is looked for among the members, whom an owner may see too. Null where it is
 * none of theirs.
 */
async function findMemberId(session: Session, org: string, user: string): Promise<string | null> {
  if (!isEmail(user)) return user;
  const { members } = understand(MEMBERS, (await session.call("GET", membersPath(org))).body);
  return members.find(({ email }) => sameEmail(email, user))?.id ?? null;
}
