/** `zwrm apps rm`: deletes an app, and with --force waits until its machines have stopped. */
import { APP_ARGUMENT, appPath, getApp } from "./apps.ts";
import { command, switchFlag } from "./command.ts";
import { Following } from "./follow.ts";
import { followAppRemoval } from "./machine-follow.ts";

export const appsRemove = command({
  name: "apps rm",
  summary: "delete an app with its deployments",
  args: { app: APP_ARGUMENT },
  flags: {
    force: switchFlag("also where it has machines, which are stopped and deleted; the command waits for that"),
    detach: switchFlag("do not wait"),
  },
  run: async (session, { app: nameOrId }, { force, detach }) => {
    const app = force && !detach ? await getApp(session, nameOrId) : null;
    await session.call("DELETE", appPath(app?.id ?? nameOrId), { query: { force: force ? true : undefined } });
    if (app !== null)
      return followAppRemoval(
        new Following(session, { name: app.name, what: "deletion", look: `see "zwrm machines --app ${app.id}"` }),
        app,
      );
    if (!session.json) session.line(`${nameOrId} is deleted${force ? "; its machines are told to stop" : ""}.`);
    return 0;
  },
});
