/** A flood of logins: one scrypt at a time, a queue of sixteen, and everyone with a token served as if nothing was. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import * as http from "node:http";
import { after, test } from "node:test";
import { startDaemon } from "../support/daemon.ts";
import { assertError } from "../support/http.ts";
import type { Answer } from "../support/http.ts";
import { bearer, expect, makeKey, makePerson } from "./identity-world.ts";

const FLOOD = 200;
const QUEUE = 1 + 16;

const daemon = await startDaemon();
const root = await makePerson(daemon, "root", { hostAdmin: true });
const key = await makeKey(daemon, root.session);

/** Every login has its own connection. */
const crowd = new http.Agent({ keepAlive: true, maxSockets: FLOOD });
after(() => crowd.destroy());

function failures(scraped: string): number {
  return Number(/^zwrmd_auth_failures_total\{method="password"\} (\d+)$/m.exec(scraped)?.[1] ?? 0);
}

test(
  "of 200 wrong passwords at once the queue's are tried, the rest are told when to come back, and tokens " +
    "work all the while",
  async () => {
    const before = failures((await daemon.request("GET", "/metrics")).text);
    let left = FLOOD;
    const logins = Array.from({ length: FLOOD }, async (_, index): Promise<Answer> => {
      const answer = await daemon.request("POST", "/v1/auth/login", {
        body: { email: `nobody-${index}@example.com`, password: "wrong" },
        timeoutMs: 60_000,
        agent: crowd,
      });
      left--;
      return answer;
    });
    const meanwhile: number[] = [];
    for (let round = 0; left > 0 && round < 1_000; round++) {
      meanwhile.push((await daemon.request("GET", "/v1/hosts", bearer(root.session))).status);
      meanwhile.push((await daemon.request("GET", "/v1/auth/whoami", bearer(key.token))).status);
      meanwhile.push(
        (await daemon.request("POST", "/v1/orgs", bearer(key.token, { body: { slug: `round-${round}` } }))).status,
      );
      const host = { host_id: "h-1", hostname: "h", capacity: { cpus: 1, memory_mb: 1 } };
      meanwhile.push((await daemon.asAgent("POST", "/v1/internal/hosts/register", { body: host })).status);
    }
    const answers = await Promise.all(logins);
    assert.deepEqual([...new Set(meanwhile)].sort(), [200, 201]);
    const tried = answers.filter((answer) => answer.status === 401);
    const refused = answers.filter((answer) => answer.status === 429);
    assert.equal(tried.length + refused.length, FLOOD);
    // More may be tried than fit at once, as places come free while the flood comes in.
    assert.ok(tried.length >= QUEUE && refused.length >= FLOOD / 2, `${tried.length} tried`);
    for (const answer of tried) assertError(answer, 401, "unauthorized");
    for (const answer of refused) assert.match(String(answer.headers["retry-after"]), /^[1-9]\d*$/);
    assert.equal(failures((await daemon.request("GET", "/metrics")).text) - before, FLOOD);
  },
);

test("the address that failed so often waits, with the right password too; its tokens do not", async () => {
  const answer = await daemon.request("POST", "/v1/auth/login", {
    body: { email: root.email, password: root.password },
  });
  assertError(answer, 429, "login_throttled");
  assert.match(String(answer.headers["retry-after"]), /^[1-9]\d*$/);
  expect(await daemon.request("GET", "/v1/hosts", bearer(root.session)), 200);
});

test(
  "scrypt works in a thread of its own, behind everyone else: neither the journal's threads nor the " +
    "cores wait for it",
  () => {
    // proc(5): behind the name in brackets, nice is the 17th field of a thread's stat.
    const nices = readdirSync(`/proc/${daemon.pid}/task`).map((tid) =>
      Number(readFileSync(`/proc/${daemon.pid}/task/${tid}/stat`, "utf8").split(") ")[1]?.split(" ")[16]),
    );
    assert.equal(nices.filter((nice) => nice === 19).length, 1, nices.join());
  },
);

test("a flood from many sides leaves the daemon's memory where it was", async (t) => {
  const other = await startDaemon({}, t);
  const bytes = async (): Promise<number> =>
    Number(/^process_resident_memory_bytes (\d+)/m.exec((await other.request("GET", "/metrics")).text)?.[1]);
  const before = await bytes();
  for (let round = 0; round < 3; round++) {
    const flood = Array.from({ length: 200 }, (_, index) =>
      other.request("POST", "/v1/auth/login", {
        body: { email: `${round}-${index}-${"x".repeat(200)}`, password: "y".repeat(1000) },
        timeoutMs: 60_000,
        agent: crowd,
      }),
    );
    for (const answer of await Promise.all(flood)) assert.ok([401, 429].includes(answer.status));
  }
  assert.ok((await bytes()) - before < 150 * 1024 * 1024);
});
