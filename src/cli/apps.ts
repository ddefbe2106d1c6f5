/**
 * `zwrm apps`: the org's apps, and what others need of one: its path, and the app behind a name or an id. Deploying is
 * deploy.ts.
 */
import { ClientError } from "../client/errors.ts";
import { LABEL_PATTERN, newUuid } from "../lib/ids.ts";
import { APP, APPS, DEPLOYMENTS } from "../wire/apps.ts";
import type { ReceivedApp as App, ReceivedDeployment as Deployment } from "../wire/apps.ts";
import type { Argument, ValueFlag } from "./command.ts";
import { command, readText } from "./command.ts";
import { ageOf, formatMebibytes } from "./format.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import type { Cell, Column } from "./table.ts";
import { statusCell } from "./table.ts";

/** Of a digest's 64 characters, so many tell one from another. */
const SHORT_DIGEST = 12;

/** Where an app that is there is meant; the API takes either. */
export const APP_ARGUMENT: Argument<string> = {
  placeholder: "NAME|ID",
  help: `the app, as "zwrm apps" shows it`,
  read: readText,
};

export const NEW_APP: Argument<string> = {
  placeholder: "NAME",
  help: "the app's name: 1 to 64 of A-Z a-z 0-9 . _ -",
  read: (text) => {
    if (!LABEL_PATTERN.test(text)) throw new Error("must be 1 to 64 of A-Z a-z 0-9 . _ -");
    return text;
  },
};

export function appFlag(help: string): ValueFlag<string> {
  return { placeholder: "NAME|ID", help, read: readText };
}

export function appPath(nameOrId: string, ...rest: readonly string[]): string {
  return ["/v1/apps", nameOrId, ...rest]
    .map((part, index) => (index === 0 ? part : encodeURIComponent(part)))
    .join("/");
}

/** The app behind a name or an id. Rejects with ClientError `app_not_found`. */
export async function getApp(session: Session, nameOrId: string): Promise<App> {
  return understand(APP, (await session.call("GET", appPath(nameOrId))).body);
}

/** The same, null where there is none. */
export async function findApp(session: Session, nameOrId: string): Promise<App | null> {
  try {
    return await getApp(session, nameOrId);
  } catch (error) {
    if (error instanceof ClientError && error.code === "app_not_found") return null;
    throw error;
  }
}

/** `86b1c9d57ae2` of `sha256:86b1c9d57ae231b9…` */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, SHORT_DIGEST);
}

/** One for all tries of one call, so that only one of them counts. */
export function idempotencyKey(): Readonly<Record<string, string>> {
  return { "Idempotency-Key": newUuid() };
}

const APP_COLUMNS: readonly Column[] = [
  { title: "NAME" },
  { title: "STATE" },
  { title: "READY", right: true, yields: 2 },
  { title: "IMAGE", yields: 4 },
  { title: "DEPLOYED", yields: 3 },
  { title: "ID", yields: 5 },
];

/** READY is of the replicas that the current deployment asks for. */
function appRow(app: App, now: number): readonly (string | Cell)[] {
  const { name, id, deployment_id: deployed, state, ready, replicas, image, deployed_at: at } = app;
  const word = state ?? (deployed === undefined ? "empty" : "-");
  const counts = replicas === undefined || deployed === undefined ? "-" : `${ready ?? 0}/${replicas}`;
  return [name, statusCell(word), counts, image === undefined ? "-" : shortDigest(image), ago(at, now), id];
}

export const apps = command({
  name: "apps",
  summary: "list the org's apps",
  details: "With the state of the current deployment, the ready ones of its replicas, its image and its age.",
  args: {},
  flags: {},
  run: (session) =>
    session.show("GET", "/v1/apps", {}, APPS, ({ apps: list }) => {
      if (list.length === 0)
        return session.note(
          "There is no app yet: zwrm deploy APP --image DIGEST makes one, and zwrm apps create NAME an empty one.",
        );
      const now = session.io.clock.wall();
      const inOrder = [...list].sort((a, b) => (a.name < b.name ? -1 : 1));
      session.table(
        APP_COLUMNS,
        inOrder.map((app) => appRow(app, now)),
      );
    }),
});

export const appsCreate = command({
  name: "apps create",
  summary: "make an app that runs nothing yet",
  args: { name: NEW_APP },
  flags: {},
  run: (session, { name }) =>
    session.show("POST", "/v1/apps", { body: { name }, headers: idempotencyKey() }, APP, (app) =>
      session.line(`The app ${app.name} (${app.id}) is made.`),
    ),
});

export const appsShow = command({
  name: "apps show",
  summary: "show an app, what it runs, and what was deployed before",
  args: { app: APP_ARGUMENT },
  flags: {},
  run: async (session, { app: nameOrId }) => {
    const { body: appBody } = await session.call("GET", appPath(nameOrId));
    const app = understand(APP, appBody);
    const { body } = await session.call("GET", appPath(app.id, "deployments"));
    const { deployments } = understand(DEPLOYMENTS, body);
    // Two answers, each as it came.
    if (session.json) session.printJson({ app: appBody, ...(typeof body === "object" ? body : {}) });
    else showApp(session, app, deployments);
    return 0;
  },
});

function showApp(session: Session, app: App, deployments: readonly Deployment[]): void {
  const now = session.io.clock.wall();
  const current = deployments.find(({ id }) => id === app.deployment_id);
  session.facts([
    ["name", app.name],
    ["id", app.id],
    ["created", ago(app.created_at, now)],
    ["deployment", app.deployment_id ?? "-"],
    ...(current === undefined ? [] : factsOf(current)),
  ]);
  if (deployments.length === 0) return;
  session.line("");
  // By id they stand in no order that means anything; what is newest is looked for first.
  const history = [...deployments].sort((a, b) => (b.created_at ?? "").localeCompare(a.created_at ?? ""));
  const columns: readonly Column[] = [
    { title: "DEPLOYMENT" },
    { title: "STATE" },
    { title: "IMAGE", yields: 3 },
    { title: "REPLICAS", right: true, yields: 1 },
    { title: "AGE", right: true, yields: 2 },
    { title: "REASON", yields: 4, least: 16 },
  ];
  const row = (one: Deployment) => [
    one.id,
    statusCell(one.state),
    shortDigest(one.image),
    String(one.replicas),
    ageOf(one.created_at, now),
    one.reason ?? "",
  ];
  session.table(columns, history.map(row));
}

function factsOf(deployment: Deployment) {
  const {
    state,
    reason,
    image,
    replicas,
    running,
    ready,
    cpus,
    memory_mb: memory,
    region,
    restart,
    check,
    env_names: names,
  } = deployment;
  return [
    ["state", statusCell(state)],
    ...(reason === undefined ? [] : [["reason", reason] as const]),
    ["image", image],
    ["replicas", `${replicas} (${running} running, ${ready} ready)`],
    ["cpus", cpus === undefined ? "-" : String(cpus)],
    ["memory", memory === undefined ? "-" : formatMebibytes(memory)],
    ["region", region ?? "every"],
    ["restart", restart ?? "-"],
    ["check", check === undefined ? "-" : checkText(check)],
    ["env", names === undefined || names.length === 0 ? "-" : names.join(" ")],
    ["on host loss", deployment.on_host_loss ?? "-"],
  ] as const;
}

/** As `zwrm deploy --check` takes it; whatever else it says is shown as JSON. */
function checkText(check: unknown): string {
  if (typeof check !== "object" || check === null) return JSON.stringify(check);
  const fields = new Map<string, unknown>(Object.entries(check));
  const [type, port, path = "", words] = ["type", "port", "path", "command"].map((name) => fields.get(name));
  if ([...fields.keys()].some((name) => !["type", "port", "path", "command"].includes(name)))
    return JSON.stringify(check);
  if (type === "exec" && Array.isArray(words)) {
    const plain = words.every((word) => typeof word === "string" && /^\S+$/.test(word));
    return `exec:${plain ? words.join(" ") : JSON.stringify(words)}`;
  }
  return typeof type === "string" && typeof port === "number" && typeof path === "string"
    ? `${type}:${port}${path}`
    : JSON.stringify(check);
}

function ago(at: string | undefined, now: number): string {
  return at === undefined ? "-" : `${ageOf(at, now)} ago`;
}
