/** Where the file of a worker thread is: beside the module that starts it, with the same ending. Starts no thread. */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The URL of the worker `name` beside `base` (an `import.meta.url`): .js in the build, .ts in the sources. A Node
 * before 22.18 runs no .ts in a thread, not even under a loader that runs the sources in the main one, as the tests do;
 * there the build's worker is taken, which `npm test` has just made.
 */
export function workerUrl(name: string, base: string, runsTypeScript: boolean = threadsRunTypeScript()): URL {
  if (extname(fileURLToPath(base)) !== ".ts") return new URL(`./${name}.js`, base);
  return runsTypeScript
    ? new URL(`./${name}.ts`, base)
    : new URL(`./${name}.js`, base.replace(/\/src\/(?=[^/]+\/[^/]+$)/, "/dist/"));
}

function threadsRunTypeScript(): boolean {
  const { features } = process;
  return "typescript" in features && features.typescript !== false;
}
