/**
 * The whole API on one page: method, path, who may, what body, and the handler that answers. HEAD is answered by GET's
 * row.
 */
import type { Scope } from "../state/types.ts";
import { deregisterHost, heartbeat, registerHost } from "./agents.ts";
import type { AgentApp, ApiRoute, App, Guard, Handler, PublicApp, Services } from "./app.ts";
import {
  createApp,
  createDeployment,
  deleteApp,
  listApps,
  listDeployments,
  scaleApp,
  showApp,
  showDeployment,
} from "./apps.ts";
import { createToken, listTokens, logIn, logOut, revokeToken, showWhoami } from "./auth.ts";
import { listEvents } from "./events.ts";
import {
  activateHost,
  drainHost,
  listHosts,
  removeHost,
  replaceLost,
  showDrainStatus,
  showHost,
  unbindHostKey,
  undrainHost,
} from "./hosts.ts";
import {
  deleteImage,
  downloadImage,
  listAllImages,
  listOwnImages,
  pushImage,
  showOwnImage,
  verifyStore,
} from "./images.ts";
import { deleteMachine, listMachines, showMachine, showPlacement, startMachine, stopMachine } from "./machines.ts";
import {
  createOrg,
  createUser,
  listOrgMembers,
  listOrgs,
  listUsers,
  removeMember,
  removeUser,
  setMember,
  setPassword,
} from "./people.ts";
import { notAvailableYet, showHealth, showMetrics, showReady, showService } from "./service.ts";
import { showStatus } from "./status.ts";

const PUBLIC: Guard<PublicApp> = { access: { kind: "public" }, pick: (hands) => hands.anyone };
/** Host agents, by the licence hash. */
const INTERNAL: Guard<AgentApp> = { access: { kind: "internal" }, pick: (hands) => hands.agents };
/** Any caller with credentials, whatever its scopes. */
const PROTECTED = people(null, false);

function people(scope: Scope | null, hostAdmin: boolean): Guard<App> {
  return { access: { kind: "protected", scope, hostAdmin }, pick: (hands) => hands.people };
}

/** A caller with this scope, in its org. */
function scoped(scope: Scope): Guard<App> {
  return people(scope, false);
}

/** A host-admin with this scope. */
function admin(scope: Scope): Guard<App> {
  return people(scope, true);
}

/** A row. Whom it lets in decides what its handler is given, and so by which door it can change anything. */
function route<A extends Services>(
  method: ApiRoute["method"],
  pattern: string,
  { access, pick }: Guard<A>,
  body: ApiRoute["body"],
  handler: Handler<A>,
): ApiRoute {
  return { method, pattern, access, body, handler: (context, hands) => handler(context, pick(hands)) };
}

/** Paths that are kept for volumes, secrets and databases. */
function reserved(pattern: string): ApiRoute[] {
  return [
    route("GET", pattern, scoped("apps:read"), "none", notAvailableYet),
    route("POST", pattern, scoped("apps:write"), "json", notAvailableYet),
  ];
}

export const ROUTES: readonly ApiRoute[] = [
  route("GET", "/", PUBLIC, "none", showService),
  route("GET", "/metrics", PUBLIC, "none", showMetrics),
  route("GET", "/v1/health", PUBLIC, "none", showHealth),
  route("GET", "/v1/ready", PUBLIC, "none", showReady),

  route("POST", "/v1/internal/hosts/register", INTERNAL, "json", registerHost),
  route("POST", "/v1/internal/hosts/{host_id}/heartbeat", INTERNAL, "json", heartbeat),
  route("POST", "/v1/internal/hosts/{host_id}/deregister", INTERNAL, "json", deregisterHost),
  route("GET", "/v1/internal/images", INTERNAL, "none", listAllImages),
  route("GET", "/v1/internal/images/{digest}", INTERNAL, "none", downloadImage),

  route("GET", "/v1/hosts", admin("hosts:read"), "none", listHosts),
  route("POST", "/v1/hosts/replace-lost", admin("hosts:write"), "json", replaceLost),
  route("GET", "/v1/hosts/{host_id}", admin("hosts:read"), "none", showHost),
  route("DELETE", "/v1/hosts/{host_id}", admin("hosts:write"), "none", removeHost),
  route("POST", "/v1/hosts/{host_id}/drain", admin("hosts:write"), "json", drainHost),
  route("GET", "/v1/hosts/{host_id}/drain-status", admin("hosts:read"), "none", showDrainStatus),
  route("POST", "/v1/hosts/{host_id}/undrain", admin("hosts:write"), "json", undrainHost),
  route("POST", "/v1/hosts/{host_id}/activate", admin("hosts:write"), "json", activateHost),
  route("DELETE", "/v1/hosts/{host_id}/key", admin("hosts:write"), "none", unbindHostKey),

  route("GET", "/v1/images", scoped("images:read"), "none", listOwnImages),
  route("GET", "/v1/images/{digest}", scoped("images:read"), "none", showOwnImage),
  route("PUT", "/v1/images/{digest}", scoped("images:write"), "stream", pushImage),
  route("DELETE", "/v1/images/{digest}", scoped("images:write"), "none", deleteImage),
  route("POST", "/v1/images/verify", admin("images:write"), "none", verifyStore),

  route("GET", "/v1/apps", scoped("apps:read"), "none", listApps),
  route("POST", "/v1/apps", scoped("apps:write"), "json", createApp),
  route("GET", "/v1/apps/{id}", scoped("apps:read"), "none", showApp),
  route("DELETE", "/v1/apps/{id}", scoped("apps:write"), "none", deleteApp),
  route("GET", "/v1/apps/{id}/deployments", scoped("apps:read"), "none", listDeployments),
  route("POST", "/v1/apps/{id}/deployments", scoped("apps:write"), "json", createDeployment),
  route("GET", "/v1/apps/{id}/deployments/{deployment_id}", scoped("apps:read"), "none", showDeployment),
  route("POST", "/v1/apps/{id}/scale", scoped("apps:write"), "json", scaleApp),

  route("GET", "/v1/machines", scoped("apps:read"), "none", listMachines),
  route("GET", "/v1/machines/{id}", scoped("apps:read"), "none", showMachine),
  route("DELETE", "/v1/machines/{id}", scoped("apps:write"), "none", deleteMachine),
  route("GET", "/v1/machines/{id}/placement", scoped("apps:read"), "none", showPlacement),
  route("POST", "/v1/machines/{id}/stop", scoped("apps:write"), "json", stopMachine),
  route("POST", "/v1/machines/{id}/start", scoped("apps:write"), "json", startMachine),

  route("POST", "/v1/auth/login", PUBLIC, "json", logIn),
  route("POST", "/v1/auth/logout", PROTECTED, "json", logOut),
  route("GET", "/v1/auth/whoami", PROTECTED, "none", showWhoami),
  route("GET", "/v1/auth/tokens", PROTECTED, "none", listTokens),
  route("POST", "/v1/auth/tokens", PROTECTED, "json", createToken),
  route("DELETE", "/v1/auth/tokens/{id}", PROTECTED, "none", revokeToken),

  route("GET", "/v1/orgs", PROTECTED, "none", listOrgs),
  route("POST", "/v1/orgs", admin("admin"), "json", createOrg),
  route("GET", "/v1/orgs/{id}/members", scoped("admin"), "none", listOrgMembers),
  route("PUT", "/v1/orgs/{id}/members/{user_id}", scoped("admin"), "json", setMember),
  route("DELETE", "/v1/orgs/{id}/members/{user_id}", scoped("admin"), "none", removeMember),
  route("GET", "/v1/users", admin("admin"), "none", listUsers),
  route("POST", "/v1/users", admin("admin"), "json", createUser),
  route("DELETE", "/v1/users/{id}", admin("admin"), "none", removeUser),
  route("PUT", "/v1/users/{id}/password", scoped("admin"), "json", setPassword),

  route("GET", "/v1/events", admin("admin"), "none", listEvents),
  route("GET", "/v1/status", scoped("status:read"), "none", showStatus),

  ...reserved("/v1/apps/{id}/volumes"),
  ...reserved("/v1/apps/{id}/secrets"),
  ...reserved("/v1/org/secrets"),
  ...reserved("/v1/databases"),
];
