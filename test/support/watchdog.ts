/**
 * Loaded before every test file by `npm test`: a test that does not end is named, and ends its file. It cannot see a
 * file that is busy for ever or stays open after its tests; for those there is the runner's own --test-timeout, which
 * ends a file without knowing what it waited for.
 */
import { afterEach, beforeEach } from "node:test";

/** Long enough for the longest test on a machine that does four other things. */
const SECONDS = Number(process.env["ZWRM_TEST_SECONDS"] ?? 600);

// The runner loads this too, for itself; it runs no test.
if (process.env["NODE_TEST_CONTEXT"] !== undefined) watch();

function watch(): void {
  const running = new Map<string, NodeJS.Timeout>();
  beforeEach((context) => {
    const name = nameOf(context);
    const timer = setTimeout(() => {
      const open = [...new Set(process.getActiveResourcesInfo())].join(", ");
      process.stderr.write(`watchdog: "${name}" has run for ${SECONDS} s, so this file ends here; open: ${open}\n`);
      process.exit(1);
    }, SECONDS * 1_000);
    timer.unref();
    clearTimeout(running.get(name));
    running.set(name, timer);
  });
  afterEach((context) => {
    clearTimeout(running.get(nameOf(context)));
    running.delete(nameOf(context));
  });
}

/** A suite has a name as well; only its type says less. */
function nameOf(context: unknown): string {
  return typeof context === "object" && context !== null && "name" in context ? String(context.name) : "a test";
}
