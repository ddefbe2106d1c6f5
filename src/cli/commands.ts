/**
 * Every command of zwrm, in the order of its help. A new one is written in its group's file and named here; nothing
 * else knows it.
 */
import { apps, appsCreate, appsShow } from "./apps.ts";
import { appsRemove } from "./apps-remove.ts";
import { login, logout, whoami } from "./auth.ts";
import type { Command } from "./command.ts";
import { deploy } from "./deploy.ts";
import { events } from "./events.ts";
import { hostActivate, hostList, hostRemove, hostReplaceLost, hostStatus, hostUnbindKey, hostUndrain } from "./host.ts";
import { hostDrain, hostDrainStatus } from "./host-drain.ts";
import { imageList, imagePush, imageRemove } from "./image.ts";
import { machines, machinesExplain, machinesRemove, machinesShow, machinesStart, machinesStop } from "./machines.ts";
import { orgCreate, orgList, orgMembers, orgMembersRemove, orgMembersSet } from "./org.ts";
import { quota, quotaSet } from "./quota.ts";
import { scale } from "./scale.ts";
import { status } from "./status.ts";
import { tokensCreate, tokensList, tokensRevoke } from "./tokens.ts";
import { userCreate, userList, userPasswd, userRemove } from "./user.ts";

export const COMMANDS: readonly Command[] = [
  status,
  apps,
  appsCreate,
  appsShow,
  appsRemove,
  deploy,
  scale,
  machines,
  machinesShow,
  machinesExplain,
  machinesStop,
  machinesStart,
  machinesRemove,
  hostList,
  hostStatus,
  hostDrain,
  hostDrainStatus,
  hostUndrain,
  hostActivate,
  hostRemove,
  hostUnbindKey,
  hostReplaceLost,
  imageList,
  imagePush,
  imageRemove,
  login,
  logout,
  whoami,
  tokensCreate,
  tokensList,
  tokensRevoke,
  orgCreate,
  orgList,
  orgMembers,
  orgMembersSet,
  orgMembersRemove,
  quota,
  quotaSet,
  userCreate,
  userList,
  userPasswd,
  userRemove,
  events,
];
