/**
 * Every setting of zwrmd in one table: type, default, range, and what it is for. The Config type is derived from it;
 * reading files is load.ts's.
 */
import { isIP } from "node:net";
import { SHA256_HEX_PATTERN } from "../lib/ids.ts";
import type { Setting } from "./kinds.ts";
import { boolean, duration, durationOrForever, integer, list, oneOf, text } from "./kinds.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;
/** sun_path has 108 bytes on Linux, the last one a NUL. */
export const MAX_SOCKET_PATH_BYTES = 107;

const path = { expected: "a path", check: (): null => null };
const folder = {
  expected: "the path of a folder",
  check: (given: string) => (given === "" ? "must be the path of a folder" : null),
};

/** What an org may have where nothing was set for it by `zwrm quota set`. */
function bound(fallback: number, what: string): ReturnType<typeof integer> {
  const docs = [`At most so many ${what}, an org.`, "More is a 409 quota_exceeded."];
  return integer(fallback, { min: 0, max: Number.MAX_SAFE_INTEGER, reload: true, docs });
}

export const SCHEMA = {
  server: {
    host: text("::", {
      expected: "an IP address or a host name",
      check: checkHost,
      docs: [
        'The address to listen on. "::" is every interface, IPv4 included; "127.0.0.1" is this machine only.',
        "Ignored, like port, where systemd passes the sockets.",
      ],
    }),
    port: integer(8080, { min: 0, max: 65535, docs: ["The TCP port of the API. 0 takes any free one."] }),
    socket: text("", {
      expected: `a path of at most ${MAX_SOCKET_PATH_BYTES} bytes`,
      check: (given) =>
        Buffer.byteLength(given) > MAX_SOCKET_PATH_BYTES
          ? `must be a path of at most ${MAX_SOCKET_PATH_BYTES} bytes`
          : null,
      docs: ["A unix socket to listen on as well, mode 0660. Who can open it is host-admin. Empty: none."],
    }),
    read_timeout: duration("30s", {
      min: "100ms",
      max: "24h",
      docs: ["How long a request may take to arrive; an upload, how long it may make no progress."],
    }),
    write_timeout: duration("30s", {
      min: "100ms",
      max: "24h",
      docs: ["How long an answer may make no progress before its connection is closed."],
    }),
    idle_timeout: duration("75s", {
      min: "100ms",
      max: "24h",
      docs: ["How long a connection is kept between two requests."],
    }),
    max_body_bytes: integer(MIB, {
      min: KIB,
      max: 64 * MIB,
      docs: ["The largest JSON body, in bytes. Images are bounded by [images] max_bytes."],
    }),
    max_connections: integer(20_000, { min: 1, max: 1_000_000, docs: ["How many connections may be open at once."] }),
    tls_cert: text("", {
      ...path,
      reload: true,
      docs: ["The certificate chain as PEM. Together with tls_key it turns TLS on. Empty: plain HTTP."],
    }),
    tls_key: text("", {
      ...path,
      reload: true,
      docs: ["The certificate's private key as PEM, readable by the daemon's user only."],
    }),
  },
  state: {
    data_dir: text("/var/lib/zwrm", {
      ...folder,
      docs: ["Where everything that must survive a restart is kept, on a local disk."],
    }),
  },
  journal: {
    segment_bytes: integer(64 * MIB, {
      min: 4 * KIB,
      max: 4 * GIB,
      docs: ["A file of the journal is closed, and a new one begun, at this size."],
    }),
    retain: durationOrForever({
      min: "0s",
      max: "36500d",
      docs: [
        'How long "zwrmd journal compact" keeps closed files that a snapshot covers.',
        "The daemon itself removes none.",
      ],
    }),
  },
  build: {
    images_dir: text("", {
      ...path,
      docs: ["Where the images are kept. Empty: the folder images in [state] data_dir."],
    }),
  },
  images: {
    max_bytes: integer(64 * GIB, {
      min: 1,
      max: Number.MAX_SAFE_INTEGER,
      docs: ["The largest image that may be uploaded, in bytes."],
    }),
  },
  hosts: {
    offline_after: duration("30s", {
      min: "1s",
      max: "24h",
      docs: ["A host that was not heard for so long is offline. Agents beat three times in it."],
    }),
    check_interval: duration("15s", { min: "100ms", max: "24h", docs: ["Hosts are looked at at least so often."] }),
  },
  quota: {
    apps: bound(1_000, "apps"),
    replicas: bound(10_000, "replicas of all its apps"),
    cpus: bound(100_000, "cpus that its replicas ask for"),
    memory_mb: bound(400_000_000, "MiB of memory that its replicas ask for"),
    env_bytes: bound(64 * MIB, "bytes of env in all deployments that are kept: names and values"),
    images: bound(10_000, "images"),
    image_bytes: bound(TIB, "bytes of images"),
    labels: bound(64, "labels an image (?app_id=)"),
  },
  scheduler: {
    strategy: oneOf("spread", ["spread", "pack"], {
      docs: ['Where machines are placed: "spread" evenly, or "pack" onto few hosts.'],
    }),
  },
  license: {
    key: text("", {
      expected: "a text",
      check: (given) => (given.trim() === given ? null : "must not begin or end with a blank"),
      secret: true,
      reload: true,
      docs: [
        "The licence key that host agents prove to know. It is hashed at start and forgotten.",
        "Better: leave it empty and give its hash below. With neither, no agent is let in.",
      ],
    }),
    key_hashes: list({
      expected: "a SHA-256 in 64 lower-case hex characters",
      check: (given) =>
        SHA256_HEX_PATTERN.test(given) ? null : "must be SHA-256 hashes, each 64 lower-case hex characters",
      secret: true,
      reload: true,
      docs: [
        "SHA-256 hashes of licence keys that are let in; several while keys are rotated.",
        'Made by: printf %s "$KEY" | sha256sum. A hash opens the door as the key does: keep it secret.',
      ],
    }),
  },
  auth: {
    localhost_bypass: boolean(true, {
      docs: [
        "Requests from this machine need no token and are host-admin: any local process is.",
        "Turn it off where others log in.",
      ],
    }),
    session_ttl: duration("24h", { min: "1m", max: "365d", docs: ["How long a login lasts."] }),
  },
  cors: {
    allowed_origins: list({
      expected: 'an origin such as "https://ui.example.com" or "https://*.example.com"',
      check: checkOrigin,
      reload: true,
      docs: [
        'The web origins whose pages may call the API: "https://ui.example.com", with a port unless it is',
        'the usual one, or "https://*.example.com" for every name below. Empty: none.',
      ],
    }),
  },
  log: {
    format: oneOf("text", ["text", "json"], { docs: ["How a line of the log is written."] }),
    level: oneOf("info", ["debug", "info", "warn", "error"], {
      docs: ["The least level that is written. Requests are info."],
    }),
  },
} as const;

type Schema = typeof SCHEMA;
type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name;
type NameOf<Key, Row> = Key extends string
  ? Row extends { readonly unit: infer Unit extends string }
    ? `${Camel<Key>}${Unit}`
    : never
  : never;
type ValueOf<Row> = Row extends { readonly fallback: infer T } ? T : never;

/** Every row of the table as written, under camel-case names; durations end in `Ms` and are milliseconds. */
export type Settings = {
  readonly [S in keyof Schema]: { readonly [K in keyof Schema[S] as NameOf<K, Schema[S][K]>]: ValueOf<Schema[S][K]> };
};

/** What the daemon runs on: the settings, with `build.imagesDir` filled in and the licence key replaced by its hash. */
export type Config = Omit<Settings, "license"> & {
  readonly license: {
    /** Lower-case hex SHA-256 hashes of every licence key that is let in; empty where none is configured. */
    readonly keyHashes: readonly string[];
  };
};

/** A row with its place in the table. */
export interface SettingEntry {
  readonly section: string;
  readonly key: string;
  /** The name in `Settings`. */
  readonly name: string;
  /** The environment variable that overrides it. */
  readonly variable: string;
  readonly setting: Setting<unknown, "" | "Ms">;
}

/** Every row, in the order of the table. */
export function listSettings(): SettingEntry[] {
  return Object.entries(SCHEMA).flatMap(([section, rows]) =>
    Object.entries<Setting<unknown, "" | "Ms">>(rows).map(([key, setting]) => ({
      section,
      key,
      name: key.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase()) + setting.unit,
      variable: `ZWRM_${section}_${key}`.toUpperCase(),
      setting,
    })),
  );
}

function checkHost(given: string): string | null {
  if (isIP(given) !== 0) return null;
  const labels = given.split(".");
  const isName =
    given.length <= 253 &&
    labels.every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? "");
  return isName ? null : 'must be an IP address (IPv6 without brackets, "::" for every interface) or a host name';
}

/** Browsers send origins in one form only, so any other form would never match and is refused. */
function checkOrigin(given: string): string | null {
  const wildcard = "https://*.";
  const isWildcard = given.startsWith(wildcard);
  const exact = isWildcard ? `https://${given.slice(wildcard.length)}` : given;
  const origin = URL.canParse(exact) ? new URL(exact).origin : "null";
  if (!/^https?:\/\//.test(origin) || exact.includes("*"))
    return 'must be origins such as "https://ui.example.com" or "https://*.example.com"';
  if (origin !== exact)
    return `must be written as browsers send it ("${isWildcard ? origin.replace("https://", wildcard) : origin}")`;
  // `https://*.com` would be half of the web.
  if (isWildcard && !/^https:\/\/[^.:]+\.[^:]+$/.test(origin))
    return 'must name a domain below a top-level one after "*.", without a port';
  return null;
}
