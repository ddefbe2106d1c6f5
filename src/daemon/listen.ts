/** Opens the listeners: a port with or without TLS, a unix socket, or what systemd hands over. */
import type { HttpServer } from "../http/server.ts";
import type { Listener } from "./sockets.ts";
import { socketRefusal } from "./sockets.ts";

const SOCKET_MODE = 0o660;

/** The server's certificate and key, in PEM. */
interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * Opens one listener; `tls` null is plain HTTP. Resolves with its address as people write it. Rejects with a sentence,
 * or the system's error.
 */
export async function openListener(http: HttpServer, listener: Listener, tls: Tls | null): Promise<string> {
  if (listener.kind === "unix") {
    await http.listen({ path: listener.path, mode: SOCKET_MODE }).catch((error: unknown) => {
      throw socketRefusal(listener.path, error);
    });
    return `unix:${listener.path}`;
  }
  const scheme = tls === null ? "http" : "https";
  const extra = tls === null ? {} : { tls };
  if (listener.kind === "inherited") {
    await http.listen({ fd: listener.fd, ...(listener.unixSocket ? {} : extra) });
    return `${listener.unixSocket ? "unix" : scheme}:fd:${listener.fd} (${listener.name})`;
  }
  const address = await listenTcp(http, listener.host, listener.port, extra);
  if (typeof address === "string") return address;
  return `${scheme}://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}

/** `::` takes IPv4 too; a machine without IPv6 gets IPv4 alone. */
async function listenTcp(
  http: HttpServer,
  host: string,
  port: number,
  extra: { readonly tls?: Tls },
): ReturnType<HttpServer["listen"]> {
  try {
    return await http.listen({ host, port, ...extra });
  } catch (error) {
    const withoutIpv6 = host === "::" && error instanceof Error && /EAFNOSUPPORT|EADDRNOTAVAIL/.test(error.message);
    if (!withoutIpv6) throw error;
    return http.listen({ host: "0.0.0.0", port, ...extra });
  }
}
