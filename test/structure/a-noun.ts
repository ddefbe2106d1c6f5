/**
 * The worked example of src/ADD-A-NOUN.md: a memo, a line of text that an org keeps for its people. Each step is what
 * is written where, and the check that fails while that step alone is missing.
 */

/** `after`: the text behind which `insert` comes, or the whole file where it is new (`after` null). */
export interface Edit {
  readonly file: string;
  readonly after: string | null;
  readonly insert: string;
}

export interface Check {
  /** `types`, or the test file that sees it. */
  readonly by: "types" | `test/${string}.test.ts`;
  /** What it says then. */
  readonly says: RegExp;
}

export interface NounStep {
  /** As src/ADD-A-NOUN.md names it. */
  readonly what: string;
  readonly edits: readonly Edit[] | "tables";
  readonly check: Check;
}

const create = (file: string, insert: string): Edit => ({ file, after: null, insert });
const put = (file: string, after: string, insert: string): Edit => ({ file, after, insert });
const types = (says: RegExp): Check => ({ by: "types", says });

const WIRE = `/** Memos: a line of text that an org keeps for its people. */
import type { Calls } from "./call.ts";
import { page, PAGE_QUERY, time } from "./common.ts";
import { named, object } from "./compound.ts";
import type { TypeOf } from "./schema.ts";
import { text } from "./schema.ts";
import { visibleText } from "./visible.ts";

export const MEMO_BODY = object({ text: visibleText({ min: 1, max: 200 }) });
export const MEMO = named("Memo", object({ id: text, text, created_at: time }));
export type MemoView = TypeOf<typeof MEMO>;
export const MEMOS = page("memos", MEMO);

/** What is called of memos. */
export const MEMO_CALLS = {
  list: { summary: "List the org's memos", query: PAGE_QUERY, answers: { 200: MEMOS } },
  write: { summary: "Write a memo", body: MEMO_BODY, answers: { 201: MEMO } },
  remove: { summary: "Remove a memo", answers: { 204: null }, refusals: ["memo_not_found"] },
} as const satisfies Calls;
`;

const DECISIONS = `/** What people do with memos: pure decisions, and the lookups behind them. */
import { ApiError } from "../lib/errors.ts";
import type { MemoId, OrgId } from "../lib/id-types.ts";
import type { EventOf } from "../state/events.ts";
import type { State } from "../state/state.ts";
import type { Memo } from "../state/types.ts";
import type { MemoView } from "../wire/memos.ts";

/** Throws \`memo_not_found\`, also where another org has it. */
export function findMemo(state: State, orgId: OrgId, id: MemoId): Memo {
  const memo = state.memos.get(id);
  if (memo?.org_id !== orgId) throw new ApiError("memo_not_found", \`There is no memo \${id} here.\`);
  return memo;
}

export function decideMemo(orgId: OrgId, id: MemoId, text: string): EventOf<"memo.written"> {
  return { type: "memo.written", data: { memo: { id, org_id: orgId, text } } };
}

/** Throws \`memo_not_found\`. */
export function decideMemoRemoval(state: State, orgId: OrgId, id: MemoId): EventOf<"memo.removed"> {
  return { type: "memo.removed", data: { memo_id: findMemo(state, orgId, id).id } };
}

export function memoView({ id, text, created_at }: Memo): MemoView {
  return { id, text, created_at };
}
`;

const HANDLERS = `/** /v1/memos: what an org keeps for its people. Decisions stand in fleet/memos.ts. */
import { decideMemo, decideMemoRemoval, findMemo, memoView } from "../fleet/memos.ts";
import type { EmptyReply, JsonReply } from "../http/respond.ts";
import { empty, json } from "../http/respond.ts";
import type { MaybePromise } from "../http/types.ts";
import { newId } from "../lib/ids.ts";
import type { Page, PageQuery } from "../wire/common.ts";
import type { MemoView } from "../wire/memos.ts";
import type { App } from "./app.ts";
import { listReply } from "./lists.ts";
import type { PersonRequest } from "./request.ts";

export function listMemos(
  { caller, query }: PersonRequest<never, unknown, PageQuery>,
  app: App,
): MaybePromise<JsonReply<200, Page<"memos", MemoView>>> {
  return app.store.read((state) => {
    const rows = state.memos.group(caller.org.id).map(memoView);
    return listReply(query, "memos", rows, ({ id }) => id);
  });
}

export function writeMemo(
  request: PersonRequest<never, { readonly text: string }>,
): MaybePromise<JsonReply<201, MemoView>> {
  const id = newId("memo");
  return request.change((_state, { org }) => ({
    event: decideMemo(org.id, id, request.body.text),
    answer: (after) => json(201, memoView(findMemo(after, org.id, id))),
  }));
}

export function removeMemo(request: PersonRequest<"memo_id">): MaybePromise<EmptyReply<204>> {
  return request.change((state, { org }) => ({
    event: decideMemoRemoval(state, org.id, request.params.memo_id),
    answer: () => empty(204),
  }));
}
`;

const COMMANDS = `/** \`zwrm memos\`: what an org keeps for its people. */
import { MEMO, MEMOS } from "../wire/memos.ts";
import { anything } from "../wire/schema.ts";
import type { Argument } from "./command.ts";
import { command, readText } from "./command.ts";

const ID: Argument<string> = { placeholder: "ID", help: "the memo's id", read: readText };

export const memos = command({
  name: "memos",
  summary: "list the org's memos",
  args: {},
  flags: {},
  run: (session) =>
    session.show("GET", "/v1/memos", {}, MEMOS, ({ memos: all }) => {
      session.table(
        [{ title: "ID", yields: 1 }, { title: "TEXT", yields: 2, least: 10 }],
        all.map(({ id, text }) => [id, text]),
      );
    }),
});

export const memosWrite = command({
  name: "memos write",
  summary: "write a memo",
  args: { text: { placeholder: "TEXT", help: "what it says", read: readText } },
  flags: {},
  run: (session, { text }) =>
    session.show("POST", "/v1/memos", { body: { text } }, MEMO, ({ id }) => session.line(\`\${id} is written.\`)),
});

export const memosRemove = command({
  name: "memos rm",
  summary: "remove a memo",
  args: { id: ID },
  flags: {},
  run: (session, { id }) =>
    session.show("DELETE", \`/v1/memos/\${encodeURIComponent(id)}\`, {}, anything, () =>
      session.line(\`\${id} is removed.\`),
    ),
});
`;

const NOUNS = "test/structure/nouns.test.ts";

export const STEPS: readonly NounStep[] = [
  {
    what: "the shapes and calls",
    edits: [create("src/wire/memos.ts", WIRE)],
    check: types(/wire\/memos/),
  },
  {
    what: "the type of its id",
    edits: [
      put("src/lib/id-types.ts", 'export type SessionId = Id<"session">;\n', 'export type MemoId = Id<"memo">;\n'),
      put("src/lib/ids.ts", "DeploymentId, HostId, KeyId, MachineId,", " MemoId,"),
      put("src/lib/ids.ts", "  readonly m: MachineId;\n", "  readonly memo: MemoId;\n"),
      put("src/api/request.ts", "DeploymentId, HostId, KeyId, MachineId,", " MemoId,"),
      put("src/api/request.ts", "  readonly user_id: UserId;\n", "  readonly memo_id: MemoId;\n"),
    ],
    check: types(/MemoId/),
  },
  {
    what: "the row",
    edits: [
      put("src/state/types.ts", "HostId, ImageDigest, MachineId,", " MemoId,"),
      put(
        "src/state/types.ts",
        "export type DeploymentState = TypeOf<typeof DEPLOYMENT_STATE>;\n",
        `
/** A line of text that an org keeps for its people. */
export interface Memo {
  readonly id: MemoId;
  readonly org_id: OrgId;
  readonly text: string;
  readonly created_at: string;
}
`,
      ),
    ],
    check: types(/no exported member 'Memo'/),
  },
  {
    what: "the table",
    edits: [
      put("src/state/state.ts", "HostId, ImageDigest, MachineId,", " MemoId,"),
      put("src/state/state.ts", "  ImageRef,\n", "  Memo,\n"),
      put(
        "src/state/state.ts",
        '  readonly users = new Table<User, UserId>("users", this.undo);\n',
        '  readonly memos = new Table<Memo, MemoId, [OrgId]>("memos", this.undo, (memo) => memo.org_id);\n',
      ),
    ],
    check: types(/'memos' does not exist on type 'State'/),
  },
  {
    what: "the events",
    edits: [
      put("src/state/events.ts", "  KeyId,\n  MachineId,\n", "  MemoId,\n"),
      put("src/state/events.ts", "  MachineState,\n  Mode,\n", "  Memo,\n"),
      put(
        "src/state/events.ts",
        '  "image.removed": { readonly digest: ImageDigest; readonly org_id: OrgId };\n',
        '  "memo.written": { readonly memo: Omit<Memo, "created_at"> };\n' +
          '  "memo.removed": { readonly memo_id: MemoId };\n',
      ),
    ],
    check: types(/memo\.written/),
  },
  {
    what: "the list of types",
    edits: [
      put("src/state/events.ts", '  "image.removed": true,\n', '  "memo.written": true,\n  "memo.removed": true,\n'),
    ],
    check: types(/events\.ts.*\n?.*memo\.written/),
  },
  {
    what: "the reducers",
    edits: [
      put(
        "src/state/reducers.ts",
        "export const reducers: Reducers = {\n",
        `  "memo.written": (state, { data, at }) => state.memos.set(data.memo.id, { ...data.memo, created_at: at }),

  "memo.removed": (state, { data }) => state.memos.delete(data.memo_id),

`,
      ),
    ],
    check: types(/reducers\.ts.*memo\.written/s),
  },
  {
    what: "what may be seen of them",
    edits: [
      put(
        "src/state/redact.ts",
        '  "image.removed": { digest: true, org_id: true },\n',
        '  "memo.written": { memo: { id: true, org_id: true, text: true } },\n  "memo.removed": { memo_id: true },\n',
      ),
    ],
    check: types(/redact\.ts.*memo\.written/s),
  },
  {
    what: "whom they touch",
    edits: [
      put(
        "src/fleet/touched.ts",
        '  "image.removed": nobody,\n',
        '  "memo.written": nobody,\n  "memo.removed": nobody,\n',
      ),
    ],
    check: types(/touched\.ts.*memo\.written/s),
  },
  {
    what: "what of an org's quota they take",
    edits: [
      put(
        "src/state/quota.ts",
        '  "image.removed": nothing,\n',
        '  "memo.written": nothing,\n  "memo.removed": nothing,\n',
      ),
    ],
    check: types(/quota\.ts.*memo\.written/s),
  },
  {
    what: "how long rows are kept",
    edits: [put("src/fleet/expiry.ts", "  imageRefs: UNTIL_REMOVED,\n", "  memos: UNTIL_REMOVED,\n")],
    check: types(/expiry\.ts.*'memos' is missing/s),
  },
  {
    what: "what is counted",
    edits: [
      put(
        "src/daemon/gauges.ts",
        "  imageRefs: null,\n",
        "  memos: (rows, metrics) => metrics.memos.set(rows.size),\n",
      ),
    ],
    check: types(/gauges\.ts.*'memos' is missing/s),
  },
  {
    what: "the metric",
    edits: [
      put(
        "src/metrics/catalogue.ts",
        '  images: { name: "zwrmd_images", type: "gauge", labels: [], help: "Images in the store." },\n',
        '  memos: { name: "zwrmd_memos", type: "gauge", labels: [], help: "Memos of all orgs." },\n',
      ),
    ],
    check: types(/gauges\.ts.*'memos' does not exist/s),
  },
  {
    what: "the metric's row in the tests",
    edits: [put("test/metrics/catalogue.test.ts", "\n  zwrmd_images ", "zwrmd_memos ")],
    check: { by: "test/metrics/catalogue.test.ts", says: /zwrmd_memos/ },
  },
  {
    what: "the metric in the running daemon",
    edits: [put("test/system/metrics.test.ts", '  zwrmd_images: ["gauge"],\n', '  zwrmd_memos: ["gauge"],\n')],
    check: { by: NOUNS, says: /zwrmd_memos/ },
  },
  {
    what: "the errors",
    edits: [
      put(
        "src/lib/errors.ts",
        '  image_not_found: [404, "No image with this digest is visible to the caller."],\n',
        '  memo_not_found: [404, "No memo with this id is visible to the caller."],\n',
      ),
    ],
    check: types(/memo_not_found/),
  },
  {
    what: "the decisions",
    edits: [create("src/fleet/memos.ts", DECISIONS)],
    check: types(/fleet\/memos/),
  },
  {
    what: "the handlers",
    edits: [create("src/api/memos.ts", HANDLERS)],
    check: types(/\.\/memos\.ts/),
  },
  {
    what: "the routes",
    edits: [
      put(
        "src/api/routes.ts",
        'import { MACHINE_CALLS } from "../wire/machines.ts";\n',
        'import { MEMO_CALLS } from "../wire/memos.ts";\n',
      ),
      put(
        "src/api/routes.ts",
        '} from "./images.ts";\n',
        'import { listMemos, removeMemo, writeMemo } from "./memos.ts";\n',
      ),
      put(
        "src/api/routes.ts",
        '  open("POST", "/v1/auth/login", PEOPLE_CALLS.logIn, logIn),\n',
        `  scoped("apps:read")("GET", "/v1/memos", MEMO_CALLS.list, listMemos),
  scoped("apps:write")("POST", "/v1/memos", MEMO_CALLS.write, writeMemo),
  scoped("apps:write")("DELETE", "/v1/memos/{memo_id}", MEMO_CALLS.remove, removeMemo),
`,
      ),
    ],
    check: { by: NOUNS, says: /MEMO_CALLS\.write/ },
  },
  {
    what: "what a second POST makes",
    edits: [
      put(
        "test/support/nouns.ts",
        "export const MADE_AGAIN: Readonly<Record<string, string>> = {\n",
        '  writeMemo: "two are no harm",\n',
      ),
    ],
    check: { by: NOUNS, says: /writeMemo/ },
  },
  {
    what: "the identity matrix",
    edits: [
      put(
        "test/system/identity-matrix-table.ts",
        "  GET    /v1/status                               own      status:read   200\n",
        `  GET    /v1/memos                                own      apps:read     200
  POST   /v1/memos                                own      apps:write    400 invalid_field
  DELETE /v1/memos/{memo_id}                      own      apps:write    404 memo_not_found
`,
      ),
    ],
    check: { by: NOUNS, says: /DELETE \/v1\/memos/ },
  },
  {
    what: "the fuzzer",
    edits: [
      put(
        "test/support/mutate.ts",
        '  make("DELETE", `/v1/images/${DIGEST}`),\n',
        '  make("POST", "/v1/memos", `{"text":"fuzz"}`),\n',
      ),
    ],
    check: { by: NOUNS, says: /'memos'/ },
  },
  {
    what: "the laboratories",
    edits: [
      put(
        "test/support/nouns.ts",
        "export const LABORATORIES: Readonly<Record<string, Laboratories>> = {\n",
        '  memos: { simulation: "no: nothing of the fleet depends on one", disk: "journal" },\n',
      ),
    ],
    check: { by: NOUNS, says: /'memos'/ },
  },
  {
    what: "the random commands of the replay",
    edits: [
      put(
        "test/state/workload.ts",
        '    (random) => just(withIds({ type: "session.ended", data: { id: "s", token_hash: `t${random(4)}` } })),\n',
        `    (random) => {
      const id = \`n_\${random(4)}\`;
      const memo = { id, org_id: orgId(random), text: "x" };
      const removed = { type: "memo.removed", data: { memo_id: id } } as const;
      return just(withIds(random(3) === 0 ? removed : { type: "memo.written", data: { memo } }));
    },
`,
      ),
    ],
    check: { by: "test/state/replay.test.ts", says: /memo\.written/ },
  },
  {
    what: "the commands",
    edits: [
      create("src/cli/memos.ts", COMMANDS),
      put(
        "src/cli/commands.ts",
        'import { orgCreate, orgList, orgMembers, orgMembersRemove, orgMembersSet } from "./org.ts";\n',
        'import { memos, memosRemove, memosWrite } from "./memos.ts";\n',
      ),
      put("src/cli/commands.ts", "  userRemove,\n", "  memos,\n  memosWrite,\n  memosRemove,\n"),
    ],
    check: { by: NOUNS, says: /memos write/ },
  },
  {
    what: "who asks each call",
    edits: [
      put(
        "test/support/nouns.ts",
        "export const ASKED: Readonly<Record<string, string>> = {\n",
        `  "MEMO_CALLS.list": "memos",
  "MEMO_CALLS.write": "memos write",
  "MEMO_CALLS.remove": "memos rm",
`,
      ),
    ],
    check: { by: NOUNS, says: /MEMO_CALLS\.write/ },
  },
  {
    what: "a good line for each command",
    edits: [
      put(
        "test/cli/every-command.ts",
        '  events: { line: "events" },\n',
        `  memos: { line: "memos" },
  "memos write": { line: "memos write hello" },
  "memos rm": { line: "memos rm memo_1" },
`,
      ),
      put(
        "test/cli/every-command.ts",
        "  [/^POST \\/v1\\/orgs/, 201, ORG],\n",
        `  [/^GET \\/v1\\/memos/, 200, { memos: [{ id: "memo_1", text: TROUBLE, created_at: "2026-03-01" }] }],
  [/^POST \\/v1\\/memos/, 201, { id: "memo_1", text: TROUBLE, created_at: "2026-03-01" }],
`,
      ),
    ],
    check: { by: "test/cli/width.test.ts", says: /memos write/ },
  },
  {
    what: "the operator's line",
    edits: [put("CHANGELOG.md", "(unreleased)\n\n", "- Memos that an org keeps: `zwrm memos`.\n")],
    check: { by: NOUNS, says: /'memos'/ },
  },
  {
    what: "the printed tables",
    edits: "tables",
    check: { by: "test/readme/readme.test.ts", says: /memo/ },
  },
];
