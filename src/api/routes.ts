/**
 * The whole API on one page: method, path, who may, what comes, what is answered, and the handler. HEAD is answered by
 * GET's row.
 */
import { AGENT_CALLS } from "../wire/agents.ts";
import { APP_CALLS } from "../wire/apps.ts";
import { HOST_CALLS } from "../wire/hosts.ts";
import { IMAGE_CALLS } from "../wire/images.ts";
import { MACHINE_CALLS } from "../wire/machines.ts";
import { PEOPLE_CALLS } from "../wire/people.ts";
import { QUOTA_CALLS } from "../wire/quota.ts";
import { RESERVED, SERVICE_CALLS } from "../wire/service.ts";
import { deregisterHost, heartbeat, registerHost } from "./agents.ts";
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
import { setQuota, showQuota } from "./quota.ts";
import type { ApiRoute } from "./route.ts";
import { admin, internal, open, protectedBy, scoped } from "./route.ts";
import { notAvailableYet, showHealth, showMetrics, showOpenApi, showReady, showService } from "./service.ts";
import { showStatus } from "./status.ts";

/** Paths that are kept for volumes, secrets and databases. */
function reserved(path: string): ApiRoute[] {
  return [
    scoped("apps:read")("GET", path, RESERVED.read, notAvailableYet),
    scoped("apps:write")("POST", path, RESERVED.write, notAvailableYet),
  ];
}

export const ROUTES: readonly ApiRoute[] = [
  open("GET", "/", SERVICE_CALLS.about, showService),
  open("GET", "/metrics", SERVICE_CALLS.metrics, showMetrics),
  open("GET", "/v1/health", SERVICE_CALLS.health, showHealth),
  open("GET", "/v1/ready", SERVICE_CALLS.ready, showReady),
  open("GET", "/v1/openapi.json", SERVICE_CALLS.openapi, showOpenApi),

  internal("POST", "/v1/internal/hosts/register", AGENT_CALLS.register, registerHost),
  internal("POST", "/v1/internal/hosts/{host_id}/heartbeat", AGENT_CALLS.heartbeat, heartbeat),
  internal("POST", "/v1/internal/hosts/{host_id}/deregister", AGENT_CALLS.deregister, deregisterHost),
  internal("GET", "/v1/internal/images", IMAGE_CALLS.listAll, listAllImages),
  internal("GET", "/v1/internal/images/{digest}", IMAGE_CALLS.download, downloadImage),

  admin("hosts:read")("GET", "/v1/hosts", HOST_CALLS.list, listHosts),
  admin("hosts:write")("POST", "/v1/hosts/replace-lost", HOST_CALLS.replaceLost, replaceLost),
  admin("hosts:read")("GET", "/v1/hosts/{host_id}", HOST_CALLS.show, showHost),
  admin("hosts:write")("DELETE", "/v1/hosts/{host_id}", HOST_CALLS.remove, removeHost),
  admin("hosts:write")("POST", "/v1/hosts/{host_id}/drain", HOST_CALLS.drain, drainHost),
  admin("hosts:read")("GET", "/v1/hosts/{host_id}/drain-status", HOST_CALLS.drainStatus, showDrainStatus),
  admin("hosts:write")("POST", "/v1/hosts/{host_id}/undrain", HOST_CALLS.undrain, undrainHost),
  admin("hosts:write")("POST", "/v1/hosts/{host_id}/activate", HOST_CALLS.activate, activateHost),
  admin("hosts:write")("DELETE", "/v1/hosts/{host_id}/key", HOST_CALLS.unbindKey, unbindHostKey),

  scoped("images:read")("GET", "/v1/images", IMAGE_CALLS.list, listOwnImages),
  scoped("images:read")("GET", "/v1/images/{digest}", IMAGE_CALLS.show, showOwnImage),
  scoped("images:write")("PUT", "/v1/images/{digest}", IMAGE_CALLS.push, pushImage),
  scoped("images:write")("DELETE", "/v1/images/{digest}", IMAGE_CALLS.remove, deleteImage),
  admin("images:write")("POST", "/v1/images/verify", IMAGE_CALLS.verify, verifyStore),

  scoped("apps:read")("GET", "/v1/apps", APP_CALLS.list, listApps),
  scoped("apps:write")("POST", "/v1/apps", APP_CALLS.create, createApp),
  scoped("apps:read")("GET", "/v1/apps/{id}", APP_CALLS.show, showApp),
  scoped("apps:write")("DELETE", "/v1/apps/{id}", APP_CALLS.remove, deleteApp),
  scoped("apps:read")("GET", "/v1/apps/{id}/deployments", APP_CALLS.listDeployments, listDeployments),
  scoped("apps:write")("POST", "/v1/apps/{id}/deployments", APP_CALLS.deploy, createDeployment),
  scoped("apps:read")("GET", "/v1/apps/{id}/deployments/{deployment_id}", APP_CALLS.showDeployment, showDeployment),
  scoped("apps:write")("POST", "/v1/apps/{id}/scale", APP_CALLS.scale, scaleApp),

  scoped("apps:read")("GET", "/v1/machines", MACHINE_CALLS.list, listMachines),
  scoped("apps:read")("GET", "/v1/machines/{id}", MACHINE_CALLS.show, showMachine),
  scoped("apps:write")("DELETE", "/v1/machines/{id}", MACHINE_CALLS.remove, deleteMachine),
  scoped("apps:read")("GET", "/v1/machines/{id}/placement", MACHINE_CALLS.placement, showPlacement),
  scoped("apps:write")("POST", "/v1/machines/{id}/stop", MACHINE_CALLS.stop, stopMachine),
  scoped("apps:write")("POST", "/v1/machines/{id}/start", MACHINE_CALLS.start, startMachine),

  open("POST", "/v1/auth/login", PEOPLE_CALLS.logIn, logIn),
  protectedBy("POST", "/v1/auth/logout", PEOPLE_CALLS.logOut, logOut),
  protectedBy("GET", "/v1/auth/whoami", PEOPLE_CALLS.whoami, showWhoami),
  protectedBy("GET", "/v1/auth/tokens", PEOPLE_CALLS.listTokens, listTokens),
  protectedBy("POST", "/v1/auth/tokens", PEOPLE_CALLS.createToken, createToken),
  protectedBy("DELETE", "/v1/auth/tokens/{id}", PEOPLE_CALLS.revokeToken, revokeToken),

  scoped("status:read")("GET", "/v1/org/quota", QUOTA_CALLS.show, showQuota),
  admin("admin")("PUT", "/v1/orgs/{id}/quota", QUOTA_CALLS.set, setQuota),
  protectedBy("GET", "/v1/orgs", PEOPLE_CALLS.listOrgs, listOrgs),
  admin("admin")("POST", "/v1/orgs", PEOPLE_CALLS.createOrg, createOrg),
  scoped("admin")("GET", "/v1/orgs/{id}/members", PEOPLE_CALLS.listMembers, listOrgMembers),
  scoped("admin")("PUT", "/v1/orgs/{id}/members/{user_id}", PEOPLE_CALLS.setMember, setMember),
  scoped("admin")("DELETE", "/v1/orgs/{id}/members/{user_id}", PEOPLE_CALLS.removeMember, removeMember),
  admin("admin")("GET", "/v1/users", PEOPLE_CALLS.listUsers, listUsers),
  admin("admin")("POST", "/v1/users", PEOPLE_CALLS.createUser, createUser),
  admin("admin")("DELETE", "/v1/users/{id}", PEOPLE_CALLS.removeUser, removeUser),
  scoped("admin")("PUT", "/v1/users/{id}/password", PEOPLE_CALLS.setPassword, setPassword),

  admin("admin")("GET", "/v1/events", SERVICE_CALLS.events, listEvents),
  scoped("status:read")("GET", "/v1/status", SERVICE_CALLS.status, showStatus),

  ...reserved("/v1/apps/{id}/volumes"),
  ...reserved("/v1/apps/{id}/secrets"),
  ...reserved("/v1/org/secrets"),
  ...reserved("/v1/databases"),
];
