/**
 * One good line for every command of zwrm, and an API that answers all of them with values as long as real ones. Held
 * complete by width.test.ts.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Answering, FakeServer, Seen } from "../client/support.ts";
import { serve } from "../client/support.ts";
import { host } from "./support.ts";
import { deployment, DIGEST, machine, WEB } from "./workloads.ts";

export const KEY = `zwrm_key_${"k".repeat(43)}`;
const FOUND = { id: "m_16bee2e186b722258f2a", other: "m_1ef1ffd89a9b04a036a9" };
const TROUBLE =
  "needs 4 cpus and 8192 MiB; the largest free host h-7 has 2 cpus and 1024 MiB: 3 hosts are full, 1 is " +
  "draining, 1 is offline";
const USER = {
  id: "usr_5db24aefd462655900d8",
  email: "ann.of.the.platform.team@example.com",
  name: "Ann of the platform team",
  host_admin: true,
};
const TOKEN = {
  id: "key_7183701b3e5c23ca4928",
  name: "ci",
  scopes: ["images:read", "images:write", "apps:read"],
  expires_at: "2027-02-22T00:28:15.387Z",
  created_at: "2026-02-22T00:28:15.387Z",
};
const ORG = {
  id: "org_2f6e6d6b9a6a4b0c9d1e",
  slug: "default",
  name: "The org that everybody is in at first",
  role: "owner",
};

/** What is typed behind `zwrm` for each command; FILE and DIGEST stand for an image. `stdin` is what is piped in. */
export const LINES: Readonly<Record<string, { readonly line: string; readonly stdin?: string }>> = {
  status: { line: "status" },
  apps: { line: "apps" },
  "apps create": { line: "apps create web" },
  "apps show": { line: "apps show web" },
  "apps rm": { line: "apps rm web --force" },
  deploy: { line: "deploy web --image DIGEST --replicas 2" },
  scale: { line: "scale web 2" },
  machines: { line: "machines --all" },
  "machines show": { line: `machines show ${FOUND.id}` },
  "machines explain": { line: `machines explain ${FOUND.id}` },
  "machines stop": { line: `machines stop ${FOUND.id}` },
  "machines start": { line: `machines start ${FOUND.id}` },
  "machines rm": { line: `machines rm ${FOUND.id}` },
  "host list": { line: "host list" },
  "host status": { line: "host status h-1" },
  "host drain": { line: "host drain h-1" },
  "host drain-status": { line: "host drain-status h-1" },
  "host undrain": { line: "host undrain h-1" },
  "host activate": { line: "host activate h-1" },
  "host rm": { line: "host rm h-1" },
  "host unbind-key": { line: "host unbind-key h-1" },
  "host replace-lost": { line: "host replace-lost" },
  "image list": { line: "image list" },
  "image push": { line: "image push FILE" },
  "image rm": { line: "image rm DIGEST" },
  "auth login": { line: "auth login --email ann@example.com --password-stdin", stdin: "secret\n" },
  "auth logout": { line: "auth logout" },
  "auth whoami": { line: "auth whoami" },
  "auth tokens create": { line: "auth tokens create ci" },
  "auth tokens list": { line: "auth tokens list" },
  "auth tokens revoke": { line: "auth tokens revoke ci" },
  "org create": { line: "org create acme" },
  "org list": { line: "org list" },
  "org members": { line: "org members default" },
  "org members set": { line: "org members set default usr_1 --role owner" },
  "org members remove": { line: "org members remove default usr_1" },
  quota: { line: "quota" },
  "quota set": { line: "quota set default --apps 5" },
  "user create": { line: "user create bob@example.com --name Bob --password-stdin", stdin: "a long password\n" },
  "user list": { line: "user list" },
  "user passwd": { line: "user passwd usr_1 --password-stdin", stdin: "a long password\n" },
  "user remove": { line: "user remove usr_1 --yes" },
  events: { line: "events" },
};

const MACHINES = [
  machine(FOUND.id, "running", { ready: true, host_id: "rack1-07.fra.example" }),
  machine(FOUND.other, "pending", { reason: TROUBLE }),
  machine("m_ccaa1b24ce946136850f", "stopped", {
    desired_state: "stopped",
    removing: true,
    reason: "replaced by m_16bee2e186b722258f2a",
    ended_at: "2026-03-01T11:59:00.000Z",
  }),
];
const DONE = deployment("completed", { running: 2, ready: 2, finished_at: "2026-03-01T11:59:30.000Z" });
const DRAIN = {
  host_id: "h-1",
  state: "completed",
  started_at: "2026-03-01T11:59:00.000Z",
  finished_at: "2026-03-01T11:59:30.000Z",
  deadline_at: null,
  reason: "the disks of this rack are older than the warranty that came with them",
  total: 2,
  migrated: 1,
  remaining: 0,
  failed: 1,
  machines: [
    {
      id: FOUND.id,
      app_id: WEB.id,
      app_name: "web",
      state: "migrated",
      replacement_id: FOUND.other,
      target_host_id: "rack1-09",
      reason: null,
    },
    {
      id: FOUND.other,
      app_id: WEB.id,
      app_name: "web",
      state: "failed",
      replacement_id: null,
      target_host_id: null,
      reason: TROUBLE,
    },
  ],
};
const PLACEMENT = {
  machine_id: FOUND.id,
  host_id: "h-1",
  strategy: "spread",
  decision:
    "on h-1 since 2026-03-01T11:00:00.000Z: spread: chosen of 4 that fit among 4 hosts; 0 of the " +
    "app's machines here",
  as_of: "2026-03-01T12:00:00.000Z",
  hosts: [
    {
      host_id: "h-1",
      fits: true,
      chosen: true,
      reason: "1 of the app's machines here, 5 in datacenter default; 50 % full with it",
    },
    { host_id: "rack1-07.fra.example", fits: false, chosen: false, reason: TROUBLE },
  ],
};
const EVENTS = [
  {
    seq: 1,
    at: "2026-03-01T11:00:00.000Z",
    type: "user.created",
    actor: { kind: "localhost", ip: "127.0.0.1" },
    data: { user_id: USER.id, email: USER.email, name: USER.name, host_admin: true },
  },
  {
    seq: 2,
    at: "2026-03-01T11:00:01.000Z",
    type: "host.drained",
    actor: { kind: "user", id: USER.id, ip: "192.0.2.7" },
    data: { host_id: "h-1", reason: TROUBLE },
  },
];

const QUOTA = {
  org_id: ORG.id,
  limits: {
    apps: 1_000,
    replicas: 10_000,
    cpus: 100_000,
    memory_mb: 400_000_000,
    env_bytes: 67_108_864,
    images: 10_000,
    image_bytes: 1_099_511_627_776,
    labels: 64,
  },
  used: {
    apps: 7,
    replicas: 12,
    cpus: 24,
    memory_mb: 6_144,
    env_bytes: 4_711,
    images: 3,
    image_bytes: 812_646_400,
    labels: 2,
  },
  own: ["apps"],
};

/** By method and path; the first that fits answers. */
const ANSWERS: readonly (readonly [pattern: RegExp, status: number, body: unknown])[] = [
  [/^(?:GET|PUT) \/v1\/orgs?\/.*quota$/, 200, QUOTA],
  [
    /^GET \/v1\/status/,
    200,
    {
      version: "0.1.0",
      cluster_id: "c-1",
      uptime_seconds: 90_000,
      org: ORG,
      hosts: { total: 2, online: 2 },
      apps: { total: 1 },
      machines: { total: 3, running: 1, pending: 1, stopped: 1 },
      images: { total: 1, bytes: 20_000_000 },
    },
  ],
  [
    /^GET \/v1\/apps\/[^/]+\/deployments$/,
    200,
    { deployments: [DONE, deployment("rolled_back", { id: "d-000000000001", reason: TROUBLE })] },
  ],
  [/^(?:GET|POST) \/v1\/apps\/[^/]+\/(?:deployments|scale)/, 202, DONE],
  [/^GET \/v1\/apps\/./, 200, WEB],
  [
    /^GET \/v1\/apps/,
    200,
    {
      apps: [
        {
          ...WEB,
          deployment_id: "d-000000000002",
          state: "completed",
          replicas: 2,
          ready: 2,
          image: DIGEST,
          deployed_at: "2026-03-01T11:59:00.000Z",
        },
        {
          ...WEB,
          id: "app-2",
          name: "an-app-with-a-name-as-long-as-people-like",
          deployment_id: null,
          state: null,
          replicas: 0,
          ready: 0,
          image: null,
          deployed_at: null,
        },
      ],
    },
  ],
  [/^POST \/v1\/apps/, 201, WEB],
  [/^GET \/v1\/machines\/[^/]+\/placement/, 200, PLACEMENT],
  [/^POST \/v1\/machines\/[^/]+\/stop/, 202, machine(FOUND.id, "stopped", { desired_state: "stopped" })],
  [/^(?:GET|POST) \/v1\/machines\/./, 200, MACHINES[0]],
  [/^GET \/v1\/machines/, 200, { machines: MACHINES }],
  [/^(?:GET|POST) \/v1\/hosts\/[^/]+\/drain/, 200, DRAIN],
  [/^POST \/v1\/hosts\/replace-lost/, 200, { host_ids: ["h-1"] }],
  [/^(?:GET|POST) \/v1\/hosts\/./, 200, host("h-1", { mode_reason: TROUBLE })],
  [
    /^GET \/v1\/hosts/,
    200,
    {
      hosts: [
        host("h-1"),
        host("rack1-07.fra.example.com", {
          status: "maintenance",
          region: "eu-central-frankfurt",
          ip_address: "2001:db8:1234:5678:9abc:def0:1234:5678",
        }),
      ],
    },
  ],
  [
    /^GET \/v1\/images/,
    200,
    {
      images: [
        {
          digest: DIGEST,
          size_bytes: 20_000_000,
          app_ids: ["web", "api", "worker"],
          created_at: "2026-03-01T11:00:00.000Z",
        },
      ],
    },
  ],
  [/^PUT \/v1\/images/, 201, { digest: DIGEST }],
  [
    /^POST \/v1\/auth\/login/,
    200,
    { token: `zwrm_ses_${"s".repeat(43)}`, expires_at: "2027-01-01T00:00:00.000Z", user: USER, org: ORG },
  ],
  [
    /^GET \/v1\/auth\/whoami/,
    200,
    { user: USER, org: ORG, access: "host-admin", auth_method: "session", scopes: null, expires_at: null },
  ],
  [/^POST \/v1\/auth\/tokens/, 201, { ...TOKEN, token: KEY }],
  [
    /^GET \/v1\/auth\/tokens/,
    200,
    {
      tokens: [TOKEN, { ...TOKEN, id: "key_0000000000000000000f", name: "the deployment robot of the platform team" }],
    },
  ],
  [/^GET \/v1\/orgs\/[^/]+\/members/, 200, { members: [{ ...USER, role: "owner" }] }],
  [/^GET \/v1\/orgs/, 200, { orgs: [ORG] }],
  [/^POST \/v1\/orgs/, 201, ORG],
  [/^GET \/v1\/users/, 200, { users: [USER] }],
  [/^POST \/v1\/users/, 201, USER],
  [/^GET \/v1\/events/, 200, { events: EVENTS, next_after: null }],
  [/^(?:PUT|DELETE|POST) /, 204, null],
];

function answer({ method, url }: Seen): ReturnType<Answering> {
  const found = ANSWERS.find(([pattern]) => pattern.test(`${method} ${url}`));
  return found === undefined
    ? [404, { error: "There is no such path.", code: "route_not_found", request_id: "r" }]
    : [found[1], found[2]];
}

export interface Bench extends FakeServer {
  /** The words behind `zwrm` of a command's line. */
  wordsOf(command: string): readonly string[];
}

/** An API for all lines, and a folder with a settings file that leads there and holds a session, and an image. */
export async function bench(folder: string): Promise<Bench> {
  const server = await serve(answer);
  const config = join(folder, "config.toml");
  const file = join(folder, "root.img");
  const keep = (): void =>
    writeFileSync(config, `api_url = "${server.url}"\ntoken = "zwrm_ses_${"s".repeat(43)}"\n`, { mode: 0o600 });
  writeFileSync(file, "an image");
  const wordsOf = (command: string): readonly string[] => {
    keep();
    const { line } = LINES[command] ?? { line: command };
    return [
      ...line.split(" ").map((word) => (word === "FILE" ? file : word === "DIGEST" ? DIGEST : word)),
      "--config",
      config,
    ];
  };
  return { ...server, wordsOf };
}
