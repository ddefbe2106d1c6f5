/** Tests of `zwrm events`: pages, filters, and following a stream through breaks without losing or doubling a line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { summaryOf } from "../../src/cli/summary.ts";
import type { Answering } from "../client/support.ts";
import { ManualClock } from "../client/support.ts";
import { fakeApi, finish } from "./support.ts";

type Row = Record<string, unknown> & { readonly seq: number };

function row(
  seq: number,
  type: string,
  actor: Row["actor"] = { kind: "localhost", id: null, ip: "127.0.0.1" },
  data: unknown = { n: seq },
): Row {
  return { sum: "s", seq, batch: seq, at: "2026-03-01T12:00:00.000Z", type, actor, data };
}

const ANN = { kind: "user", id: "usr_1", ip: "192.0.2.7" };
const LOG = [
  row(1, "journal.segment", { kind: "system", id: null, ip: null }, {}),
  row(2, "user.created"),
  row(3, "api_key.created", ANN),
  row(4, "api_key.revoked", ANN),
];

function refusal(status: number, code: string, more: Record<string, unknown> = {}): readonly [number, unknown] {
  return [status, { error: `It is ${code}.`, code, request_id: "r", ...more }];
}

const LINES = [
  "2026-03-01T12:00:00.000Z  1  system  journal.segment\n",
  "2026-03-01T12:00:00.000Z  2  localhost@127.0.0.1  user.created  n=2\n",
  "2026-03-01T12:00:00.000Z  3  user:usr_1@192.0.2.7  api_key.created  n=3\n",
  "2026-03-01T12:00:00.000Z  4  user:usr_1@192.0.2.7  api_key.revoked  n=4\n",
];

/** Pages of two; nobody may read the users. */
const paged: Answering = ({ url }) => {
  if (url === "/v1/users") return refusal(403, "forbidden");
  const after = Number(new URL(url, "http://x").searchParams.get("after"));
  const events = LOG.filter(({ seq }) => seq > after).slice(0, 2);
  return [200, { events, next_after: after + 2 < LOG.length ? after + 2 : null }];
};

test("prints time, seq, actor, type and a summary, page after page", async (t) => {
  const server = await fakeApi(t, paged);
  assert.deepEqual(await server.run("events"), { code: 0, out: LINES.join(""), err: "" });
  assert.deepEqual(
    server.seen.map(({ url }) => url),
    ["/v1/users", "/v1/events?after=0&limit=1000", "/v1/events?after=2&limit=1000"],
  );
  assert.equal((await server.run("events --after 2")).out, LINES.slice(2).join(""));
  assert.equal((await server.run("events --after -1")).code, 2);
});

test("prints each event whole on a line of its own with --json", async (t) => {
  const server = await fakeApi(t, () => [
    200,
    { events: [row(1, "x", ANN, { name: "a\u0007\u009b\nb" })], next_after: null },
  ]);
  const { out } = await server.run("events --json");
  assert.match(out, /^[^\p{Cc}]+\n$/u);
  assert.deepEqual(JSON.parse(out), row(1, "x", ANN, { name: "a\u0007\u009b\nb" }));
});

test("filters by type or kind of type, and by actor, kind or id", async (t) => {
  const server = await fakeApi(t, paged);
  const wanted: readonly (readonly [string, readonly number[]])[] = [
    ["--type api_key", [3, 4]],
    ["--type api_key.revoked", [4]],
    ["--type api", []],
    ["--actor user", [3, 4]],
    ["--actor usr_1", [3, 4]],
    ["--actor user:usr_1", [3, 4]],
    ["--actor localhost --type user", [2]],
    ["--actor host", []],
  ];
  for (const [flags, seqs] of wanted)
    assert.equal((await server.run(`events ${flags}`)).out, seqs.map((seq) => LINES[seq - 1]).join(""), flags);
});

test("begins with the oldest that is left where none was asked for, and refuses a gap that was", async (t) => {
  const server = await fakeApi(t, (seen) =>
    seen.url.includes("after=0&") ? refusal(410, "compacted", { oldest_seq: 3 }) : paged(seen),
  );
  assert.deepEqual(await server.run("events"), {
    code: 0,
    out: LINES.slice(2).join(""),
    err: "Events before 3 were let go by the operator.\n",
  });
  const asked = await server.run("events --after 0");
  assert.deepEqual([asked.code, asked.out], [1, ""]);
  assert.match(asked.err, /It is compacted\. Without --after/);
});

/** Answers stream after stream; a list of rows is one that ends after them, a text one as it stands. */
function streams(...steps: (readonly Row[] | string | readonly [number, unknown])[]): Answering {
  const left = [...steps];
  return ({ url }) => {
    if (url === "/v1/users") return refusal(403, "forbidden");
    const step = left.shift() ?? refusal(401, "unauthorized");
    if (typeof step !== "string" && typeof step[0] === "number") return [step[0], step[1]];
    const text =
      typeof step === "string"
        ? step
        : step
            .map((each) =>
              typeof each === "object" && each !== null && "seq" in each
                ? `id: ${String(each.seq)}\nevent: x\ndata: ${JSON.stringify(each)}\n\n`
                : "",
            )
            .join("");
    return [200, `: zwrmd events\n\n${text}`, { "Content-Type": "text/event-stream" }];
  };
}

async function follow(t: Parameters<typeof fakeApi>[0], line: string, ...steps: Parameters<typeof streams>) {
  const clock = new ManualClock();
  const server = await fakeApi(t, streams(...steps));
  const run = await finish(server.run(line, { clock }), clock);
  return { run, server, lastIds: server.seen.slice(1).map(({ headers }) => headers["last-event-id"]) };
}

test(
  "follows a stream through the daemon's restarts, each time behind the last event it saw, until the " +
    "token is refused",
  async (t) => {
    const { run, server, lastIds } = await follow(
      t,
      "events --follow",
      LOG.slice(0, 2),
      refusal(503, "shutting_down"),
      refusal(503, "shutting_down"),
      LOG.slice(2, 3),
      "",
      LOG.slice(3),
    );
    assert.equal(run.out, LINES.join(""));
    assert.deepEqual(lastIds, ["0", "2", "2", "2", "3", "3", "4"]);
    assert.ok(
      server.seen.slice(1).every(({ url, headers }) => url === "/v1/events" && headers.accept === "text/event-stream"),
    );
    assert.equal(run.code, 1);
    const waits = "The daemon has ended the stream. Waiting to go on.\n";
    assert.equal(
      run.err.slice(0, run.err.indexOf("zwrm:")),
      `${waits}The daemon answers again.\n${waits}The daemon answers again.\n${waits}The daemon answers ` +
        `again.\n${waits}`,
    );
  },
);

test("takes up a filtered stream behind what it did not show", async (t) => {
  const { run, lastIds } = await follow(t, "events -f --type user --after 1", LOG.slice(1));
  assert.deepEqual([run.out, lastIds], [LINES[1], ["1", "4"]]);
});

test("fails at once where the first stream does not come about, and at what is no event", async (t) => {
  const first = await follow(t, "events --follow", refusal(503, "shutting_down"), LOG);
  assert.deepEqual([first.run.code, first.run.out, first.server.seen.length], [1, "", 2]);
  const odd = await follow(t, "events --follow", "data: {nonsense\n\n");
  assert.match(odd.run.err, /^zwrm: The stream holds an event that is not JSON\./);
  const oldest = await follow(t, "events --follow", refusal(410, "compacted", { oldest_seq: 4 }), LOG.slice(3));
  assert.deepEqual([oldest.run.out, oldest.lastIds], [LINES[3], ["0", "3", "4"]]);
});

/** A daemon that names its cluster in the stream's headers. */
function ofCluster(cluster: string, rows: readonly Row[]): readonly [number, unknown, Record<string, string>] {
  const text = rows.map((each) => `id: ${each.seq}\ndata: ${JSON.stringify(each)}\n\n`).join("");
  return [
    200,
    `: zwrmd events of cluster ${cluster}\n\n${text}`,
    { "Content-Type": "text/event-stream", "X-Zwrm-Cluster": cluster },
  ];
}

async function followSteps(
  t: Parameters<typeof fakeApi>[0],
  ...steps: (readonly [number, unknown, Record<string, string>?])[]
) {
  const clock = new ManualClock();
  const left = [...steps];
  const server = await fakeApi(t, ({ url }) =>
    url === "/v1/users" ? [200, { users: [] }] : (left.shift() ?? refusal(401, "unauthorized")),
  );
  const run = await finish(server.run("events --follow", { clock }), clock);
  return {
    run,
    asked: server.seen
      .filter(({ url }) => url !== "/v1/users")
      .map(({ url, headers }) => `${url} ${String(headers["last-event-id"])}`),
  };
}

test(
  "a restored log answers after a break: the follower names its cluster, says that another answers, and " +
    "begins anew with the first event",
  async (t) => {
    const gone = refusal(410, "other_cluster", { cluster_id: "b", last_seq: 3 });
    const { run, asked } = await followSteps(t, ofCluster("a", LOG), gone, ofCluster("b", LOG.slice(0, 1)));
    assert.deepEqual(asked, [
      "/v1/events 0",
      "/v1/events?cluster_id=a 4",
      "/v1/events?cluster_id=b 0",
      "/v1/events?cluster_id=b 1",
    ]);
    assert.equal(run.code, 1, "the last refusal of the test");
    assert.equal(run.out, LINES.join("") + (LINES[0] ?? ""));
    assert.match(
      run.err,
      new RegExp(
        "Another cluster answers, b instead of a: what was read up to 4 may not be in it, " +
          "and what follows begins anew with its first event\\.\\n",
      ),
    );
  },
);

test(
  "a log that ends before what was seen of it: the follower says so and begins anew, with the oldest " + "that is left",
  async (t) => {
    const ahead = refusal(410, "ahead_of_log", { cluster_id: "a", last_seq: 2 });
    const { run, asked } = await followSteps(
      t,
      ofCluster("a", LOG),
      ahead,
      refusal(410, "compacted", { oldest_seq: 2 }),
      ofCluster("a", LOG.slice(1, 2)),
    );
    assert.deepEqual(asked.slice(0, 4), [
      "/v1/events 0",
      "/v1/events?cluster_id=a 4",
      "/v1/events?cluster_id=a 0",
      "/v1/events?cluster_id=a 1",
    ]);
    assert.equal(run.out, LINES.join("") + (LINES[1] ?? ""));
    assert.match(run.err, /The log ends with 2, and 4 was seen of it: .* begins anew/);
    assert.match(run.err, /Events before 2 were let go by the operator\./);
  },
);

test("pages of one log only: the cluster of the first goes with every further one", async (t) => {
  const server = await fakeApi(t, (seen) => {
    const [status, body] = paged(seen);
    return [status, Object.assign({}, body, { cluster_id: "a" })];
  });
  await server.run("events");
  const pages = server.seen.map(({ url }) => url).filter((url) => url !== "/v1/users");
  assert.deepEqual(pages, ["/v1/events?after=0&limit=1000", "/v1/events?after=2&limit=1000&cluster_id=a"]);
});

test("a position beyond the end that was asked for is an error, and nothing is waited for", async (t) => {
  const server = await fakeApi(t, () => refusal(410, "ahead_of_log", { cluster_id: "a", last_seq: 2 }));
  for (const line of ["events --after 9", "events --after 9 --follow"]) {
    const { code, out, err } = await server.run(line);
    assert.deepEqual([code, out], [1, ""], line);
    assert.match(err, /It is ahead_of_log\. Without --after/);
  }
});

const BRIEF = { brief: true, nameOf: (id: string) => id };
const WHOLE = { ...BRIEF, brief: false };

test(
  "sums an event's data up: last names, no nulls, no redactions, lists named or counted, and an end on a " + "terminal",
  () => {
    const user = { user: { id: "usr_1", name: "Ann B", host_admin: true, password: "[redacted]" }, org_id: null };
    assert.equal(summaryOf(user, BRIEF), 'id=usr_1 name="Ann B" host_admin=true');
    assert.equal(summaryOf({ org: { id: "o" }, user: { id: "u" }, n: 0 }, BRIEF), "org.id=o user.id=u n=0");
    const lists = {
      scopes: ["a", "b"],
      ids: ["1", "2", "3", "4", "5"],
      machines: [{}, {}],
      expired: ["[redacted]"],
      none: [],
    };
    assert.equal(summaryOf(lists, BRIEF), "scopes=a,b ids=1,2,3,+2 machines=2");
    assert.equal(summaryOf(lists, WHOLE), "scopes=a,b ids=1,2,3,4,5 machines=2");
    assert.equal(summaryOf(null, BRIEF), "");
    assert.equal([...summaryOf({ text: "é".repeat(500) }, BRIEF)].length, 160);
    assert.equal([...summaryOf({ text: "é".repeat(500) }, WHOLE)].length, 505);
  },
);

test(
  "shows emails and names in place of ids, where the daemon or an event before has told them, and takes " +
    "an email for an actor",
  async (t) => {
    const bob = { kind: "user", id: "usr_2", ip: null };
    const log = [
      row(1, "user.created", ANN, { user: { id: "usr_2", email: "bob@example.com", name: "Bob" }, org_id: null }),
      row(2, "app.created", bob, { app_id: "app_1", org_id: "org_9", name: "web" }),
      row(3, "member.set", ANN, { org_id: "org_9", user_id: "usr_2", role: "owner" }),
      row(4, "app.deleted", { kind: "user", id: "usr_gone", ip: null }, { app_id: "app_1" }),
      row(5, "session.created", bob, { session: { id: "ses_1", user_id: "usr_2" } }),
    ];
    const server = await fakeApi(t, ({ url }) => [
      200,
      url === "/v1/users"
        ? { users: [{ id: "usr_1", email: "ann@example.com", name: "Ann" }] }
        : { events: log, next_after: null },
    ]);
    const lines = (out: string): readonly string[] =>
      out
        .trimEnd()
        .split("\n")
        .map((line) => line.replace("2026-03-01T12:00:00.000Z  ", ""));
    assert.deepEqual(lines((await server.run("events")).out), [
      "1  user:ann@example.com@192.0.2.7  user.created  id=usr_2 email=bob@example.com name=Bob",
      "2  user:bob@example.com  app.created  app_id=app_1 org_id=org_9 name=web",
      "3  user:ann@example.com@192.0.2.7  member.set  org_id=org_9 user_id=bob@example.com role=owner",
      "4  user:usr_gone  app.deleted  app_id=web",
      "5  user:bob@example.com  session.created  id=ses_1 user_id=bob@example.com",
    ]);
    assert.deepEqual(
      lines((await server.run("events --actor bob@example.com")).out).map((line) => line[0]),
      ["2", "5"],
    );
    assert.deepEqual(
      lines((await server.run("events --actor user:ann@example.com --type user")).out).map((line) => line[0]),
      ["1"],
    );
  },
);
