/**
 * The names behind ids in the log: users as the daemon lists them, and whatever the events themselves have told of.
 * Never fails: an id is shown where no name is known.
 */
import { ClientError } from "../client/errors.ts";
import { USERS } from "../wire/people.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";

/** Where an event tells a name: the field or the object that holds it, its id and its name. */
const TOLD: readonly (readonly [holder: string | null, id: string, name: string])[] = [
  ["user", "id", "email"],
  ["org", "id", "slug"],
  ["key", "id", "name"],
  [null, "app_id", "name"],
];

export class Names {
  readonly #names = new Map<string, string>();

  /** Asks for the users. Whoever may read the log may not always read these. */
  async load(session: Session): Promise<void> {
    try {
      const { users } = understand(USERS, (await session.call("GET", "/v1/users")).body);
      for (const { id, email } of users) this.#names.set(id, email);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
    }
  }

  /** Takes in what an event tells; later events may speak of it by id alone. */
  learn(data: unknown): void {
    for (const [holder, idField, nameField] of TOLD) {
      const told = holder === null ? fieldsOf(data) : fieldsOf(fieldsOf(data).get(holder));
      const [id, name] = [told.get(idField), told.get(nameField)];
      if (typeof id === "string" && typeof name === "string") this.#names.set(id, name);
    }
  }

  /** The name, or the id itself. */
  of(id: string): string {
    return this.#names.get(id) ?? id;
  }
}

function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>(typeof value === "object" && value !== null ? Object.entries(value) : []);
}
