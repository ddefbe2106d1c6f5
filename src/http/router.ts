/**
 * Finds the route of a method and path: a map for static paths, a small trie for the rest; it never changes a path to
 * make it fit.
 */
import type { Match, RouteShape } from "./types.ts";

const STATIC_SEGMENT = /^[A-Za-z0-9._~-]+$/;
const PARAM_SEGMENT = /^\{([a-z][a-z0-9_]*)\}$/;
const CONTROL = /\p{Cc}/u;
const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});

/** All routes of one pattern. */
interface Leaf<R> {
  readonly pattern: string;
  readonly names: readonly string[];
  /** By method; HEAD stands here beside GET. */
  readonly routes: Map<string, R>;
}

class Branch<R> {
  readonly statics = new Map<string, Branch<R>>();
  param: { readonly name: string; readonly branch: Branch<R> } | null = null;
  leaf: Leaf<R> | null = null;
}

interface Search<R> {
  readonly method: string;
  readonly path: string;
  /** What the params on the way have caught, not decoded. */
  readonly caught: string[];
  /** Leaves that fit the path but not the method, the most static first. */
  readonly passed: Leaf<R>[];
}

export class Router<R extends RouteShape> {
  readonly #root = new Branch<R>();
  /** The matches of patterns without params, made beforehand, by path and method. */
  readonly #fixed = new Map<string, Map<string, Match<R>>>();

  /**
   * Throws an Error on a pattern that is none, on two routes for one method and pattern, and on two names for the param
   * at one place.
   */
  constructor(routes: readonly R[]) {
    for (const route of routes) this.#add(route);
  }

  /**
   * `path` is the target up to its query, as it came. A param catches one whole segment that is neither empty nor `.`
   * nor `..`.
   */
  match(method: string, path: string): Match<R> {
    const fixed = this.#fixed.get(path)?.get(method);
    if (fixed !== undefined) return fixed;
    if (!path.startsWith("/")) return { kind: "none" };
    const search: Search<R> = { method, path, caught: [], passed: [] };
    const leaf = find(this.#root, 1, search);
    const route = leaf?.routes.get(method);
    if (leaf !== null && route !== undefined) return found(route, leaf.names, search.caught);
    const [first] = search.passed;
    return first === undefined
      ? { kind: "none" }
      : { kind: "wrong_method", pattern: first.pattern, allow: allowed(search.passed) };
  }

  #add(route: R): void {
    const { pattern, method } = route;
    if (!pattern.startsWith("/")) throw new Error(`the route pattern ${pattern} does not start with a slash`);
    const names: string[] = [];
    let branch = this.#root;
    for (const segment of pattern.slice(1).split("/")) {
      const name = PARAM_SEGMENT.exec(segment)?.[1];
      if (name !== undefined) names.push(name);
      else if (!STATIC_SEGMENT.test(segment) && pattern !== "/")
        throw new Error(`the route pattern ${pattern} has a bad segment "${segment}"`);
      branch = name === undefined ? staticBranch(branch, segment) : paramBranch(branch, name, pattern);
    }
    if (new Set(names).size < names.length) throw new Error(`the route pattern ${pattern} names two params alike`);
    const leaf = (branch.leaf ??= { pattern, names, routes: new Map() });
    if (leaf.routes.has(method)) throw new Error(`there are two routes for ${method} ${pattern}`);
    leaf.routes.set(method, route);
    if (method === "GET") leaf.routes.set("HEAD", route);
    if (names.length === 0) this.#fixed.set(pattern, fixedMatches(leaf));
  }
}

function staticBranch<R>(parent: Branch<R>, segment: string): Branch<R> {
  const known = parent.statics.get(segment);
  if (known !== undefined) return known;
  const made = new Branch<R>();
  parent.statics.set(segment, made);
  return made;
}

/** One place, one name: else a 405 could not say which pattern it is about. */
function paramBranch<R>(parent: Branch<R>, name: string, pattern: string): Branch<R> {
  parent.param ??= { name, branch: new Branch<R>() };
  if (parent.param.name !== name)
    throw new Error(`{${name}} of ${pattern} is called {${parent.param.name}} in another route`);
  return parent.param.branch;
}

function fixedMatches<R extends RouteShape>(leaf: Leaf<R>): Map<string, Match<R>> {
  const matches = new Map<string, Match<R>>();
  for (const [method, route] of leaf.routes) matches.set(method, { kind: "found", route, params: NO_PARAMS });
  return matches;
}

/**
 * The leaf for the rest of the path, static segments first. A static way that lacks the method leads back to the param.
 */
function find<R>(branch: Branch<R>, start: number, search: Search<R>): Leaf<R> | null {
  const slash = search.path.indexOf("/", start);
  const segment = slash === -1 ? search.path.slice(start) : search.path.slice(start, slash);
  const named = branch.statics.get(segment);
  if (named !== undefined) {
    const leaf = descend(named, slash, search);
    if (leaf !== null) return leaf;
  }
  if (branch.param === null || segment === "" || isDots(segment)) return null;
  search.caught.push(segment);
  const leaf = descend(branch.param.branch, slash, search);
  if (leaf === null) search.caught.pop();
  return leaf;
}

function descend<R>(branch: Branch<R>, slash: number, search: Search<R>): Leaf<R> | null {
  if (slash !== -1) return find(branch, slash + 1, search);
  const { leaf } = branch;
  if (leaf === null || leaf.routes.has(search.method)) return leaf;
  search.passed.push(leaf);
  return null;
}

function found<R extends RouteShape>(route: R, names: readonly string[], caught: readonly string[]): Match<R> {
  const params: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const value = decode(caught[index] ?? "");
    if (value === null) {
      return {
        kind: "malformed",
        code: "malformed_request",
        reason: `The path has no valid ${name}: a percent-escape is broken or stands for what no name has.`,
      };
    }
    params[name] = value;
  }
  return { kind: "found", route, params };
}

/**
 * One segment, decoded once; null for a broken escape, invalid UTF-8, control characters, dots that climb, and bytes
 * that had to be escaped.
 */
function decode(raw: string): string | null {
  let plain = true;
  for (let index = 0; index < raw.length; index += 1) {
    const code = raw.charCodeAt(index);
    if (code < 0x21 || code > 0x7e) return null;
    if (code === 0x25) plain = false;
  }
  if (plain) return raw;
  try {
    const value = decodeURIComponent(raw);
    return CONTROL.test(value) || isDots(value) ? null : value;
  } catch {
    return null;
  }
}

function isDots(segment: string): boolean {
  return segment === "." || segment === "..";
}

function allowed<R>(leaves: readonly Leaf<R>[]): string {
  const methods = new Set(leaves.flatMap((leaf) => [...leaf.routes.keys()]));
  return [...methods].sort().join(", ");
}
