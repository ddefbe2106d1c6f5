/** What lies under a folder, so that a test can say that nothing was put where it does not belong. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Every path under `folder`, relative, sorted; folders end in a slash. `skip` are relative folders that are not looked
 * into.
 */
export function listTree(folder: string, skip: readonly string[] = []): string[] {
  const found: string[] = [];
  const visit = (relative: string): void => {
    for (const name of readdirSync(join(folder, relative))) {
      const path = relative === "" ? name : `${relative}/${name}`;
      const isFolder = lstatSync(join(folder, path)).isDirectory();
      found.push(isFolder ? `${path}/` : path);
      if (isFolder && !skip.includes(path)) visit(path);
    }
  };
  visit("");
  return found.sort();
}
