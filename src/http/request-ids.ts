/**
 * Names requests: a client's own id where it is one, else a random prefix of this process and a counter, which costs
 * next to nothing.
 */
import { randomBytes } from "node:crypto";
import { REQUEST_ID_PATTERN } from "../lib/ids.ts";

/** Gives the id of a request by its `X-Request-Id`, if it has one. */
export type RequestIds = (given: string | string[] | undefined) => string;

export function createRequestIds(): RequestIds {
  const prefix = randomBytes(6).toString("hex");
  let count = 0;
  return (given) => {
    if (typeof given === "string" && REQUEST_ID_PATTERN.test(given)) return given;
    count += 1;
    return `${prefix}-${count}`;
  };
}
