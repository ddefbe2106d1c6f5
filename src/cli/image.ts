/** `zwrm image`: listing, pushing and dropping images of one's own org. The bytes' way is image-file.ts. */
import { LABEL_PATTERN } from "../lib/ids.ts";
import { IMAGES } from "../wire/images.ts";
import { anything } from "../wire/schema.ts";
import type { Argument, ValueFlag } from "./command.ts";
import { command, readText } from "./command.ts";
import { ageOf, formatBytes } from "./format.ts";
import { CliError } from "./io.ts";
import { hashImage, pushImage, pushedText, readDigest, withImage } from "./image-file.ts";
import type { Session } from "./session.ts";
import { understand } from "./session.ts";
import type { Column } from "./table.ts";

/** The start of a digest, as tables show it. */
const SHORT = /^(?:sha256:)?[0-9a-f]{12,63}$/;

const DIGEST: Argument<string> = {
  placeholder: "DIGEST",
  help: `the image's digest, as "zwrm image list" shows it`,
  read: (text) => {
    const digest = readDigest(text) ?? (SHORT.test(text) ? text : null);
    if (digest === null) throw new Error("must be sha256: and 64 of 0-9 and a-f, or the first twelve or more of them");
    return digest;
  },
};

function appFlag(help: string): ValueFlag<string> {
  const read = (text: string): string => {
    if (!LABEL_PATTERN.test(text)) throw new Error("must be 1 to 64 of A-Z a-z 0-9 . _ -");
    return text;
  };
  return { placeholder: "ID", help, read };
}

export const imageList = command({
  name: "image list",
  summary: "list the org's images",
  args: {},
  flags: { app: appFlag("only images of this app") },
  run: (session, _args, { app }) =>
    session.show("GET", "/v1/images", { query: { app_id: app ?? undefined } }, IMAGES, ({ images }) => {
      if (images.length === 0)
        return session.note(
          app === null ? "There is no image yet: zwrm image push FILE" : `There is no image of the app ${app}.`,
        );
      const now = session.io.clock.wall();
      const columns: readonly Column[] = [
        // sha256: and twelve characters, which other tables show and `image rm` takes.
        { title: "DIGEST", yields: 1, least: 20 },
        { title: "SIZE", right: true },
        { title: "AGE", right: true, yields: 3 },
        { title: "APPS", yields: 2, least: 8 },
      ];
      session.table(
        columns,
        images.map((image) => [
          image.digest,
          formatBytes(image.size_bytes),
          ageOf(image.created_at, now),
          image.app_ids.join(" "),
        ]),
      );
    }),
});

export const imageRemove = command({
  name: "image rm",
  summary: "drop an image; its bytes go when no other org has it",
  args: { digest: DIGEST },
  flags: {},
  run: async (session, { digest: given }) => {
    const digest = readDigest(given) ?? (await findDigest(session, given));
    return session.show("DELETE", `/v1/images/${digest}`, {}, anything, () => session.line(`${digest} is dropped.`));
  },
});

/** The one image of the org whose digest begins so. Throws CliError where there is none, or more than one. */
async function findDigest(session: Session, start: string): Promise<string> {
  const { images } = understand(IMAGES, (await session.call("GET", "/v1/images")).body);
  const found = images.filter(({ digest }) => digest.replace("sha256:", "").startsWith(start.replace("sha256:", "")));
  const [one, other] = found;
  if (one === undefined)
    throw new CliError(`There is no image whose digest begins with ${start}; zwrm image list shows your images.`);
  if (other !== undefined)
    throw new CliError(
      `${found.length} images have a digest that begins with ${start}; give more of it. Nothing was dropped.`,
    );
  return one.digest;
}

export const imagePush = command({
  name: "image push",
  summary: "upload a file as an image, named by the SHA-256 of its bytes",
  args: { file: { placeholder: "FILE", help: "the image, such as a root filesystem", read: readText } },
  flags: { app: appFlag("label the image with this app; the app need not exist") },
  run: (session, { file }, { app }) =>
    withImage(file, async (image) => {
      const hashed = await hashImage(session, image);
      const pushed = await pushImage(session, image, hashed, app);
      if (session.json) session.printJson(pushed.answer.body);
      else session.line(pushedText(hashed, pushed));
      return 0;
    }),
});
