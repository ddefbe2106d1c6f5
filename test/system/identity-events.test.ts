/**
 * GET /v1/events: who did what, when and from where; paged as JSON, live over SSE, and over when the right to see it
 * is.
 */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import * as http from "node:http";
import { test } from "node:test";
import { eventually, startDaemon } from "../support/daemon.ts";
import type { Owner, TestDaemon } from "../support/daemon.ts";
import { assertError, request } from "../support/http.ts";
import type { RequestOptions } from "../support/http.ts";
import {
  conforms,
  count,
  exactly,
  like,
  listAt,
  mapOf,
  nullOr,
  numberAt,
  oneOf,
  pick,
  shape,
  text,
  textAt,
  time,
} from "../support/json.ts";
import type { Json } from "../support/json.ts";
import {
  appendSession,
  ask,
  bearer,
  expect,
  login,
  makeKey,
  makeOrg,
  makePerson,
  randomToken,
} from "./identity-world.ts";

const EVENT = shape({
  sum: like(/^[0-9a-f]{64}$/),
  seq: count,
  batch: count,
  at: time,
  type: like(/^[a-z_]+\.[a-z_]+$/),
  actor: shape({ kind: oneOf("system", "localhost", "socket", "host", "user"), id: nullOr(text), ip: nullOr(text) }),
  data: mapOf(() => undefined),
});

interface Streamed {
  readonly id: number;
  readonly type: string;
  readonly data: Json;
}

/** A live stream as a client reads it. */
class Stream {
  readonly events: Streamed[] = [];
  #over = false;
  #text = "";
  readonly headers: http.IncomingHttpHeaders;
  readonly #req: http.ClientRequest;

  constructor(req: http.ClientRequest, res: http.IncomingMessage) {
    this.#req = req;
    this.headers = res.headers;
    res.once("close", () => (this.#over = true));
    res.on("error", () => undefined);
    res.on("data", (part: Buffer) => {
      const blocks = (this.#text + part.toString("utf8")).split("\n\n");
      this.#text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = Object.fromEntries(
          block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
        );
        if (fields["id"] !== undefined)
          this.events.push({
            id: Number(fields["id"]),
            type: fields["event"] ?? "",
            data: JSON.parse(fields["data"] ?? "null") as Json,
          });
      }
    });
  }

  waitFor(type: string): Promise<Streamed> {
    return eventually(`a ${type} in the stream`, () => this.events.find((event) => event.type === type));
  }

  async end(): Promise<void> {
    await eventually("the stream's end", () => (this.#over ? true : undefined));
  }

  close(): void {
    this.#req.destroy();
  }
}

/** Opens a stream; it is closed with the test. */
async function follow(
  daemon: TestDaemon,
  owner: Owner,
  options: RequestOptions = {},
  path = "/v1/events",
): Promise<Stream> {
  const req = http.request({
    port: daemon.port,
    host: "127.0.0.1",
    path,
    headers: { ...options.headers, accept: "text/event-stream" },
    agent: false,
  });
  req.on("error", () => undefined);
  const res = await new Promise<http.IncomingMessage>((resolve) => req.once("response", resolve).end());
  assert.equal(res.statusCode, 200);
  assert.match(String(res.headers["content-type"]), /^text\/event-stream/);
  const stream = new Stream(req, res);
  owner.after(() => stream.close());
  return stream;
}

const daemon = await startDaemon({ config: `[server]\nsocket = "FOLDER/zwrmd.sock"` });
const root = await makePerson(daemon, "root", { hostAdmin: true });

async function events(query: string, options: RequestOptions = {}): Promise<Json> {
  return expect(await daemon.request("GET", `/v1/events${query}`, options), 200);
}

async function clusterId(): Promise<string> {
  return textAt(expect(await daemon.request("GET", "/v1/status"), 200), "cluster_id");
}

async function lastSeq(): Promise<number> {
  return numberAt(listAt(await events("?limit=1000"), "events").at(-1), "seq");
}

test("the events are the log from its first line, in order, each with its time and actor", async () => {
  const all = listAt(await events("?limit=1000"), "events");
  for (const event of all) conforms(event, EVENT);
  assert.deepEqual(
    all.map((event) => numberAt(event, "seq")),
    all.map((_, index) => index + 1),
  );
});

test(
  "every change says who did it and from where: localhost, the socket, a user by session or key, a host, " +
    "the daemon",
  async () => {
    const after = await lastSeq();
    const key = await makeKey(daemon, root.session);
    await daemon.request("POST", "/v1/orgs", { body: { slug: "by-localhost" } });
    await request({ socketPath: `${daemon.folder}/zwrmd.sock` }, "POST", "/v1/orgs", { body: { slug: "by-socket" } });
    await daemon.request("POST", "/v1/orgs", bearer(root.session, { body: { slug: "by-session" } }));
    await daemon.request("POST", "/v1/orgs", bearer(key.token, { body: { slug: "by-key" } }));
    await daemon.asAgent("POST", "/v1/internal/hosts/register", {
      body: { host_id: "h-1", hostname: "h", capacity: { cpus: 1, memory_mb: 1 } },
    });
    const found = listAt(await events(`?after=${after}`), "events").map((event) => [
      pick(event, "data.org.slug") ?? pick(event, "type"),
      pick(event, "actor"),
    ]);
    const user = { kind: "user", id: root.id, ip: "127.0.0.1" };
    assert.deepEqual(found, [
      ["api_key.created", user],
      ["by-localhost", { kind: "localhost", id: null, ip: "127.0.0.1" }],
      ["by-socket", { kind: "socket", id: null, ip: null }],
      ["by-session", user],
      ["by-key", user],
      ["host.registered", { kind: "host", id: "h-1", ip: "127.0.0.1" }],
    ]);
    conforms(
      pick(listAt(await events("?limit=1"), "events")[0], "actor"),
      shape({ kind: exactly("system"), id: exactly(null), ip: exactly(null) }),
    );
  },
);

test("pages join without a gap or a repeat; limit is 100 unless said, and at most 1,000", async () => {
  for (let index = 0; index < 110; index++) await makeOrg(daemon, `page-${index}`);
  const first = await events("");
  assert.equal(listAt(first, "events").length, 100);
  assert.equal(pick(first, "next_after"), 100);
  const seqs: number[] = [];
  let after: Json | undefined = 0;
  while (typeof after === "number") {
    const page = await events(`?after=${after}&limit=7`);
    seqs.push(...listAt(page, "events").map((event) => numberAt(event, "seq")));
    after = pick(page, "next_after");
  }
  assert.equal(after, null);
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
  );
  assert.deepEqual(await events(`?after=${seqs.length}`), {
    events: [],
    next_after: null,
    cluster_id: await clusterId(),
  });
  for (const [query, field] of [
    ["?limit=0", "limit"],
    ["?limit=1001", "limit"],
    ["?limit=x", "limit"],
    ["?after=-1", "after"],
    ["?after=x", "after"],
  ] as const) {
    assertError(await daemon.request("GET", `/v1/events${query}`), 400, "invalid_field", field);
  }
});

test("every page and every stream names the cluster", async (t) => {
  const cluster = await clusterId();
  assert.equal(pick(await events("?limit=1"), "cluster_id"), cluster);
  const stream = await follow(daemon, t, {}, `/v1/events?cluster_id=${cluster}`);
  assert.equal(stream.headers["x-zwrm-cluster"], cluster);
});

test(
  "a position beyond the end of the log is 410 with the last seq and the cluster, and no wait for what " +
    "will be another event",
  async () => {
    const last = await lastSeq();
    const cluster = await clusterId();
    for (const headers of [{}, { accept: "text/event-stream" }]) {
      assert.equal((await daemon.request("GET", `/v1/events?after=${last + 1}`, { headers })).status, 410);
      assert.equal(
        (await daemon.request("GET", `/v1/events?after=${last}`)).status,
        200,
        "the end itself is a place to wait",
      );
      const answer = await daemon.request("GET", "/v1/events", {
        headers: { ...headers, "last-event-id": String(last + 1) },
      });
      assert.deepEqual([answer.status, pick(answer.json, "code")], [410, "ahead_of_log"]);
      assert.deepEqual([pick(answer.json, "last_seq"), pick(answer.json, "cluster_id")], [last, cluster]);
    }
  },
);

test("a position of another cluster is 410, however short it is", async () => {
  for (const headers of [{}, { accept: "text/event-stream" }]) {
    const answer = await daemon.request("GET", "/v1/events?after=1&cluster_id=00000000-0000-4000-8000-000000000000", {
      headers,
    });
    assert.deepEqual([answer.status, pick(answer.json, "code")], [410, "other_cluster"]);
    assert.equal(pick(answer.json, "cluster_id"), await clusterId());
  }
  assertError(await daemon.request("GET", "/v1/events?cluster_id="), 400, "invalid_field", "cluster_id");
  assert.equal((await daemon.request("GET", `/v1/events?after=1&cluster_id=${await clusterId()}`)).status, 200);
});

test("a stream gives what was, then what comes, each with its seq as id", async (t) => {
  const stream = await follow(daemon, t);
  await eventually("the past", () => stream.events.find((event) => event.id === 100));
  await makeOrg(daemon, "live");
  const live = await eventually("the new org", () =>
    stream.events.find((event) => pick(event.data, "data.org.slug") === "live"),
  );
  assert.equal(live.type, "org.created");
  conforms(live.data, EVENT);
  assert.deepEqual(
    stream.events.map((event) => event.id),
    stream.events.map((_, index) => index + 1),
  );
});

test(
  "a stream is for whoever wants one more than JSON, in any letters; an empty " + "Last-Event-ID is as none",
  async () => {
    const typeOf = async (accept: string): Promise<string> => {
      const res = await new Promise<http.IncomingMessage>((resolve, reject) => {
        const headers = { accept, "last-event-id": "" };
        http
          .get({ port: daemon.port, host: "127.0.0.1", path: "/v1/events?limit=1", headers, agent: false }, resolve)
          .on("error", reject);
      });
      res.destroy();
      assert.equal(res.statusCode, 200, accept);
      return String(res.headers["content-type"]);
    };
    for (const accept of ["TEXT/EVENT-STREAM", "text/event-stream;q=0.5", "application/json;q=0.5, text/event-stream"])
      assert.equal(await typeOf(accept), "text/event-stream", accept);
    for (const accept of [
      "text/event-stream;q=0",
      "text/event-stream;q=0, */*",
      "application/json, text/event-stream;q=0.9",
      "*/*",
    ])
      assert.equal(await typeOf(accept), "application/json", accept);
    const after = await daemon.request("GET", "/v1/events?after=2&limit=1", { headers: { "last-event-id": "" } });
    assert.equal(numberAt(after.json, "events.0.seq"), 3, "then ?after= counts");
  },
);

test("a stream that broke goes on behind its Last-Event-ID", async (t) => {
  const after = await lastSeq();
  await makeOrg(daemon, "while-away-1");
  const stream = await follow(daemon, t, { headers: { "last-event-id": String(after) } });
  await makeOrg(daemon, "while-away-2");
  await eventually("both", () => (stream.events.length >= 2 ? true : undefined));
  assert.deepEqual(
    stream.events.map((event) => event.id),
    [after + 1, after + 2],
  );
});

test(
  "a stream ends when the session that opened it is logged out, its password changed, its key revoked or " +
    "its user removed",
  async (t) => {
    const second = await makePerson(daemon, "second", { hostAdmin: true });
    const after = `/v1/events?after=${await lastSeq()}`;
    const [out, changed] = [
      await login(daemon, second.email, second.password),
      await login(daemon, root.email, root.password),
    ];
    const [revoked, removed] = [await makeKey(daemon, root.session), await makeKey(daemon, second.session)];
    const streams = await Promise.all(
      [out, changed, revoked.token, removed.token].map((token) => follow(daemon, t, bearer(token), after)),
    );
    const untouched = await follow(daemon, t, {}, after);
    expect(await daemon.request("POST", "/v1/auth/logout", bearer(out)), 204);
    await streams[0]?.end();
    expect(await daemon.request("DELETE", `/v1/auth/tokens/${revoked.id}`, bearer(root.session)), 204);
    await streams[2]?.end();
    expect(
      await daemon.request("PUT", `/v1/users/${root.id}/password`, { body: { password: "quite another one" } }),
      204,
    );
    await streams[1]?.end();
    expect(await daemon.request("DELETE", `/v1/users/${second.id}`), 204);
    await streams[3]?.end();
    await untouched.waitFor("user.removed");
    assert.ok(!streams[3]?.events.some((event) => event.type === "user.removed"), "nothing is shown after the end");
  },
);

test("streams that come and go leave no open file behind", async (t) => {
  const open = (): number =>
    readdirSync(`/proc/${daemon.pid}/fd`).filter((fd) => linkOf(`/proc/${daemon.pid}/fd/${fd}`).endsWith(".jsonl"))
      .length;
  const before = open();
  const streams = await Promise.all(Array.from({ length: 20 }, () => follow(daemon, t)));
  await Promise.all(
    streams.map((stream) => eventually("the past", () => stream.events.find((event) => event.id === 100))),
  );
  for (const stream of streams) stream.close();
  await eventually("the files to be closed", () => (open() <= before ? true : undefined));
});

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

test("the hashes of sessions that a login sweeps out are redacted too", async (t) => {
  const other = await startDaemon({}, t);
  const ann = await makePerson(other, "ann", { hostAdmin: true });
  await other.stop();
  appendSession(other.dataDir, ann.id, "org", randomToken("ses"), new Date(Date.now() - 1_000).toISOString());
  await other.start();
  await login(other, ann.email, ann.password);
  const { events: all } = expect(await ask(other, "GET", "/v1/events"), 200) as { events: Json[] };
  assert.deepEqual(pick(all.at(-1), "data.expired"), ["[redacted]"]);
});

test("a stop ends the streams, and so does not wait for them", async (t) => {
  const other = await startDaemon({}, t);
  const stream = await follow(other, t);
  await stream.waitFor("cluster.created");
  const [exit] = await Promise.all([other.stop(), stream.end()]);
  assert.deepEqual(exit, { code: 0, signal: null });
});

test("what was compacted away is a 410 that names the oldest line left, as JSON and as a stream", async (t) => {
  const other = await startDaemon({ config: `[journal]\nsegment_bytes = 4096\nretain = "0s"` }, t);
  const snapshots = (): number =>
    readdirSync(`${other.dataDir}/journal`).filter((name) => name.endsWith(".snapshot")).length;
  for (const wanted of [1, 2]) {
    for (let index = 0; index < 40; index++) await makeOrg(other, `round-${wanted}-${index}`);
    await eventually("a snapshot", () => (snapshots() >= wanted ? true : undefined), 30_000);
  }
  await other.stop();
  const compact = await other.command("journal", "compact");
  assert.equal(compact.code, 0, compact.stderr);
  await other.start();
  const oldest = numberAt((await other.request("GET", "/v1/events")).json, "oldest_seq");
  for (const headers of [{}, { accept: "text/event-stream" }, { "last-event-id": "1" }]) {
    const answer = await other.request("GET", "/v1/events", { headers });
    assert.deepEqual(
      [answer.status, pick(answer.json, "code"), pick(answer.json, "oldest_seq")],
      [410, "compacted", oldest],
    );
  }
  assert.equal(
    listAt(expect(await other.request("GET", `/v1/events?after=${oldest - 1}&limit=1`), 200), "events").length,
    1,
  );
});
