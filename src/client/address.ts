/**
 * Where the API is: `http://host:port`, `https://host:port` (each with an optional path in front) or
 * `unix:/path/to.sock`. Never dials.
 */
import { ClientError } from "./errors.ts";

export interface Address {
  /** As it is shown to people. */
  readonly url: string;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Null for TCP. */
  readonly socketPath: string | null;
  /** What goes before every path: empty, or `/prefix`. */
  readonly prefix: string;
}

/** Reads an API URL. Throws ClientError `bad_url` with a sentence that says what is expected. */
export function parseAddress(text: string): Address {
  if (text.startsWith("unix:")) return unixAddress(text);
  const url = URL.canParse(text) ? new URL(text) : null;
  const secure = url?.protocol === "https:";
  if (url === null || url.hostname === "" || !(secure || url.protocol === "http:")) {
    throw badUrl(
      text,
      /^[A-Za-z0-9.-]+(:\d+)?$/.test(text)
        ? `write http://${text}`
        : "write http://HOST:PORT, https://HOST:PORT or unix:/PATH/TO.sock",
    );
  }
  if (url.username !== "" || url.password !== "")
    throw new ClientError("bad_url", "The API URL holds a user or a password; a token goes beside it, not into it.");
  if (url.search !== "" || url.hash !== "") throw badUrl(text, "leave out what begins with ? or #");
  const prefix = url.pathname.replace(/\/+$/, "");
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  // node:http takes an IPv6 address without its brackets.
  return {
    url: `${url.origin}${prefix}`,
    secure,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    socketPath: null,
    prefix,
  };
}

function unixAddress(text: string): Address {
  const socketPath = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  if (!socketPath.startsWith("/")) throw badUrl(text, "a socket needs its whole path: unix:/run/zwrm/zwrmd.sock");
  // sockaddr_un holds 108 bytes with the final NUL; Node would cut a longer path silently.
  if (Buffer.byteLength(socketPath) > 107) throw badUrl(text, "a socket's path is at most 107 bytes long");
  return { url: `unix:${socketPath}`, secure: false, host: "localhost", port: 80, socketPath, prefix: "" };
}

function badUrl(text: string, advice: string): ClientError {
  return new ClientError("bad_url", `${JSON.stringify(text)} is no API URL: ${advice}.`);
}
