/** The localhost bypass: every one of its conditions, as one pure decision. What broke others is in the comments. */
import { BlockList, isIP } from "node:net";

/** What the decision needs of a request. */
export interface PeerFacts {
  /** True for a connection to the unix socket, whose file mode has let the peer in. */
  readonly unixSocket: boolean;
  readonly remoteAddress: string | null;
  readonly localAddress: string | null;
  readonly httpVersion: string;
  /** The request target as sent: an absolute form is none of ours. */
  readonly target: string;
  /** Names and values in turn, as they came: duplicates must be seen. */
  readonly rawHeaders: readonly string[];
}

function loopbackList(): BlockList {
  const list = new BlockList();
  list.addSubnet("127.0.0.0", 8, "ipv4");
  list.addAddress("::1", "ipv6");
  return list;
}

const LOOPBACK = loopbackList();

/**
 * 127.0.0.0/8, ::1, and those mapped into IPv6 (a dual-stack listener shows ::ffff:127.0.0.1). Never a text comparison:
 * `127.0.0.1.evil.com` starts well.
 */
export function isLoopback(address: string | null): boolean {
  if (address === null) return false;
  const family = isIP(address);
  return family !== 0 && LOOPBACK.check(address, family === 4 ? "ipv4" : "ipv6");
}

/**
 * A Host that names the loopback, with any port: an address in 127.0.0.0/8, [::1], or `localhost`. A rebound name is
 * another name.
 */
export function isLoopbackHost(host: string): boolean {
  const found = /^(?:(localhost)|\[([0-9a-f:.]+)\]|([0-9.]+))(?::\d{1,5})?$/i.exec(host);
  if (found === null) return false;
  const [, name, six, four] = found;
  return (
    name !== undefined ||
    (six !== undefined && isIP(six) === 6 && isLoopback(six)) ||
    (four !== undefined && isIP(four) === 4 && isLoopback(four))
  );
}

/**
 * A proxy on this machine makes the whole world local: its headers close the door by their presence, whatever they say.
 */
function isForwarding(name: string): boolean {
  return name === "forwarded" || name === "via" || name === "x-real-ip" || name.startsWith("x-forwarded-");
}

/** Null where the bypass applies, else the condition that is not met, in words for the 401. */
export function whyNotLocal(peer: PeerFacts): string | null {
  const hosts: string[] = [];
  for (let i = 0; i + 1 < peer.rawHeaders.length; i += 2) {
    const name = (peer.rawHeaders[i] ?? "").toLowerCase();
    const value = peer.rawHeaders[i + 1] ?? "";
    if (name === "authorization") return "credentials were sent, so they count";
    if (isForwarding(name)) return `the request came through a proxy (${name})`;
    if (name === "origin" || (name === "sec-fetch-site" && value !== "none"))
      return `a browser is asking for a page of its own (${name})`;
    if (name === "host") hosts.push(value);
  }
  // nginx as it comes, with a bare proxy_pass, names its upstream in Host and adds no header at all: that it speaks
  // HTTP/1.0 is all that tells it from a local client.
  if (peer.httpVersion !== "1.1") return `HTTP/${peer.httpVersion} is what proxies speak; local clients speak HTTP/1.1`;
  if (peer.unixSocket) return null;
  if (!isLoopback(peer.remoteAddress) || !isLoopback(peer.localAddress)) return "the connection is not a local one";
  if (!peer.target.startsWith("/")) return "the request target is not a path";
  if (hosts.length !== 1 || !isLoopbackHost(hosts[0] ?? "")) return "Host does not name the loopback";
  return null;
}
