/** What is not there is often no failure: the one place that tells it from one. */
import { systemCode } from "./errors.ts";

interface Leniency {
  /** Also where something else stands where the folder should: whose folder it is, others may write there. */
  readonly orNoFolder?: boolean;
}

/** Whether the error says that there is no such file. */
export function isMissing(error: unknown, { orNoFolder = false }: Leniency = {}): boolean {
  const code = systemCode(error);
  return code === "ENOENT" || (orNoFolder && code === "ENOTDIR");
}

/** `instead` where what `work` wants is not there; rejects with every other error. */
export async function unlessMissing<T>(work: Promise<T>, instead: T, leniency?: Leniency): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error, leniency)) return instead;
    throw error;
  }
}

/** The same for a call that does not wait. */
export function unlessMissingSync<T>(work: () => T, instead: T, leniency?: Leniency): T {
  try {
    return work();
  } catch (error) {
    if (isMissing(error, leniency)) return instead;
    throw error;
  }
}
