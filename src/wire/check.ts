/** The check of a machine: read where it is accepted, and again where it is carried out. */
import { list, named, object, optional } from "./compound.ts";
import type { TypeOf } from "./schema.ts";
import { about, integer, number, oneOf, pattern, string } from "./schema.ts";

/**
 * `{"type":"http","port":8080,"path":"/healthz"}`, `{"type":"tcp","port":5432}`,
 * `{"type":"exec","command":["pg_isready"]}`.
 */
export const CHECK = named(
  "Check",
  object({
    type: oneOf("http", "tcp", "exec"),
    host: optional(
      about(
        pattern(/^[A-Za-z0-9.:_-]{1,253}$/, "an IP address or a host name"),
        "The machine's address as its host sees it, which for a plain process is the host itself.",
      ),
    ),
    port: optional(integer({ min: 1, max: 65_535 })),
    path: optional(pattern(/^\/[\x21-\x7e]*$/, "a path that begins with /")),
    command: optional(list(string({ min: 0, max: 4096 }), 256)),
    interval_seconds: optional(number({ min: 0.1, max: 3600 })),
    timeout_seconds: optional(number({ min: 0.1, max: 300 })),
    failures: optional(about(integer({ min: 1, max: 100 }), "Failures in a row that make a ready machine unready.")),
  }),
);

export type Check = TypeOf<typeof CHECK>;
