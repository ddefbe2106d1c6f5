/**
 * Reads a source file as its rules see it: the imports, the code without its comments and texts, and what that code may
 * not say.
 */

/** Which folders of src a folder may import from. Entry points see everything. */
export const SEES: Readonly<Record<string, readonly string[]>> = layers();

function layers(): Record<string, readonly string[]> {
  const ground = ["lib", "http", "journal", "metrics", "config"];
  const features = ["identity", "images", "fleet"];
  const api = [...ground, "wire", "state", ...features];
  return {
    lib: [],
    wire: ["lib"],
    http: ["lib"],
    journal: ["lib"],
    metrics: ["lib"],
    config: ["lib"],
    client: ["lib"],
    state: [...ground, "wire"],
    identity: [...ground, "wire", "state"],
    images: [...ground, "wire", "state"],
    fleet: [...ground, "wire", "state"],
    api,
    // The tools of the daemon ask a running one over its socket, hence client.
    daemon: [...api, "api", "client"],
    cli: ["lib", "wire", "config", "client"],
    agent: ["lib", "wire", "config", "client"],
  };
}

/** The folder of `state/store.ts` is `state`; an entry point has none. */
export function folderOf(path: string): string | null {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : null;
}

/** Why a file may not import another, or null. Both are paths below src. */
export function whyNotImport(from: string, to: string): string | null {
  const [importer, imported] = [folderOf(from), folderOf(to)];
  if (importer === null || importer === imported) return null;
  const seen = SEES[importer];
  if (seen === undefined) return `${importer}/ is not in the table of layers`;
  if (imported === null) return "an entry point is imported by nobody";
  return seen.includes(imported) ? null : `${importer}/ does not see ${imported}/`;
}

const IMPORT = /\b(?:from|import)\s*\(?\s*(["'`])([^"'`]*)\1/g;

/**
 * What a file imports or exports from, types too, as written. Texts that only look like an import are counted too:
 * better one too many.
 */
export function importsOf(source: string): string[] {
  const found = [...withoutComments(source).matchAll(IMPORT)].map(([, , specifier]) => specifier ?? "");
  // A text that only ends with such a word, or a template that quotes a name: no import can be written so.
  return found.filter((specifier) => !/^\s*\+\s*$|\$\{/.test(specifier));
}

/**
 * A token to leave out: comments, texts, templates and regular expressions; a regular expression only where one can
 * stand.
 */
const COMMENT = String.raw`\/\*[\s\S]*?\*\/|\/\/[^\n]*`;
const TEXT = String.raw`"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'`;
const BEFORE_REGEXP = String.raw`(?<=[=(,:;!&|?{}[+]\s*|\breturn\s+|^\s*)`;
const REGEXP = String.raw`${BEFORE_REGEXP}\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*`;

function withoutComments(source: string): string {
  return source.replace(
    new RegExp(`(${TEXT}|${REGEXP})|${COMMENT}`, "gm"),
    (_all, kept: string | undefined) => kept ?? " ",
  );
}

/** The code alone. The code within templates stays, since `${…}` is code; their texts are taken out. */
export function codeOf(source: string): string {
  const bare = source.replace(new RegExp(`${TEXT}|${REGEXP}|${COMMENT}`, "gm"), (token) =>
    token.startsWith("/*") || token.startsWith("//") ? " " : '""',
  );
  return bare.replace(
    /`(?:[^`\\]|\\.)*`/g,
    (template) => `\`${[...template.matchAll(/\$\{([^}]*)\}/g)].map((found) => `\${${found[1] ?? ""}}`).join("")}\``,
  );
}

/** A thing that code may not say. */
export interface Ban {
  readonly what: string;
  readonly pattern: RegExp;
  /** Looked for in the file as it stands, comments and all. */
  readonly raw?: boolean;
  /** Files and folders that own it, each with its reason. */
  readonly owners?: Readonly<Record<string, string>>;
}

export const BANS: readonly Ban[] = [
  { what: "any", pattern: /(?<![.\w"])any\b(?!["(:])/ },
  { what: "a non-null assertion", pattern: /[\w)\]]!(?![=])/ },
  { what: "a comment that turns the type checker off", pattern: /@ts-(?:ignore|expect-error|nocheck)/, raw: true },
  {
    what: "an id made of any text",
    pattern: /\bas (?:I|K|\w*(?:Id|Digest|Key))\b(?!")|\bid<\w+>\(/,
    owners: {
      "lib/ids.ts": "new ids are made there",
      "wire/": "its schemas read them",
      "state/table.ts": "a lookup by what a person typed, which is a key or finds nothing",
      "api/request.ts": "what an Idempotency-Key led to is of the kind that its request makes",
    },
  },
  { what: "module-level mutable state", pattern: /^(?:export )?(?:let|var)\s/m },
  { what: "require", pattern: /\b(?:require|createRequire)\(/ },
  { what: "NODE_ENV", pattern: /NODE_ENV/, raw: true },
  {
    what: "the machine's clock",
    pattern: /\b(?:Date\.now|performance\.now|process\.hrtime|setTimeout|setInterval)\b|\bnew Date\(\s*\)/,
    owners: {
      "lib/clock.ts": "it is the clock",
      "zwrm.ts": "the clock of a program that has nothing else to keep it alive while it waits",
    },
  },
  {
    what: "a change of the state by no door",
    pattern: /(?:\bstore|\bStore\([^()]*\))\.change\b/,
    owners: {
      "api/request.ts": "a person's request: it judges their standing in the decision",
      "api/agent-door.ts": "the door of agents: it judges their licence",
      "fleet/agent-calls.ts": "what hosts say, which the door of agents lets in",
      "fleet/liveness-monitor.ts": "the daemon's own word that a host is offline",
      "fleet/drains.ts": "the steps of a drain",
      "fleet/fleet.ts": "what was kept long enough",
      "fleet/reconciler.ts": "the daemon's own steps",
      "identity/login.ts": "a login: the password is the standing",
      "daemon/open-state.ts": "the first start makes the cluster",
      "identity/door.ts": "a session in use slides on",
      "daemon/restore.ts": "a restore begins a cluster of its own",
    },
  },
  {
    what: "a row changed beside the log",
    pattern: /\b(?:state|after)\.[A-Za-z]+\.(?:set|delete|clear)\(/,
    owners: { "state/": "reducers, which replay the log" },
  },
  { what: "chance that is no secret", pattern: /\bMath\.random\b/ },
  {
    what: "the process",
    pattern: /\bprocess\.(?!versions?\b)|node:process/,
    owners: {
      "zwrmd.ts": "an entry point",
      "zwrm.ts": "an entry point",
      "zwrm-agent.ts": "an entry point",
      "daemon/": "signals, descriptors and the environment belong to whoever puts the daemon together",
      "cli/": "a program of a person's terminal",
      "agent/": "a program of its own",
      "journal/lock.ts": "the lock file says which process holds it",
      "metrics/process.ts": "it measures the process",
      "lib/stdout.ts": "what standard output cannot take ends the program",
      "lib/worker-url.ts": "whether this Node runs .ts in a thread, only Node can say",
    },
  },
];

/** What `path` (below src) may not say and does, in words. */
export function breachesOf(path: string, source: string): string[] {
  const code = codeOf(source);
  const broken = BANS.filter(({ pattern, raw, owners = {} }) => {
    const isOwner = Object.keys(owners).some(
      (owner) => path === owner || (owner.endsWith("/") && path.startsWith(owner)),
    );
    return !isOwner && pattern.test(raw === true ? source : code);
  });
  return broken.map(({ what }) => what);
}

/** The sentence that a file opens with, or null. Entry points may begin with a shebang. */
export function openingOf(source: string): string | null {
  const found = /^(?:#![^\n]*\n)?\/\*\*\s([\s\S]*?)\*\//.exec(source);
  return found?.[1]?.replace(/^\s*\* ?/gm, "").trim() ?? null;
}
