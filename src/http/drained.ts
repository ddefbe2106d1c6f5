/** Waiting for a slow reader of an answer. */
import type { ServerResponse } from "node:http";

/** Resolves when the response takes more, or never will; leaves no listener behind. */
export function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off("drain", done);
      res.off("close", done);
      resolve();
    };
    res.on("drain", done);
    res.on("close", done);
  });
}
