/**
 * What every noun of the API has beside its code: who asks each call, what the fuzzer spoils, and which laboratories
 * know it. test/structure/nouns.test.ts holds the tables total, so that a new noun cannot be forgotten in one of them.
 */

/** By call (`HOST_CALLS.list` of wire/): the command of zwrm that asks it, or `no:` and why none does. */
export const ASKED: Readonly<Record<string, string>> = {
  "SERVICE_CALLS.about": "no: for whoever finds the port",
  "SERVICE_CALLS.metrics": "no: for Prometheus",
  "SERVICE_CALLS.health": "no: for load balancers",
  "SERVICE_CALLS.ready": "no: for load balancers and tests",
  "SERVICE_CALLS.openapi": "no: for generators; zwrmd --openapi prints the same",
  "SERVICE_CALLS.events": "events",
  "SERVICE_CALLS.status": "status",
  "QUOTA_CALLS.show": "quota",
  "QUOTA_CALLS.set": "quota set",
  "RESERVED.read": "no: 501 until there is such a thing",
  "RESERVED.write": "no: 501 until there is such a thing",
  "AGENT_CALLS.register": "no: for agents",
  "AGENT_CALLS.heartbeat": "no: for agents",
  "AGENT_CALLS.deregister": "no: for agents",
  "HOST_CALLS.list": "host list",
  "HOST_CALLS.replaceLost": "host replace-lost",
  "HOST_CALLS.show": "host status",
  "HOST_CALLS.remove": "host rm",
  "HOST_CALLS.drain": "host drain",
  "HOST_CALLS.drainStatus": "host drain-status",
  "HOST_CALLS.undrain": "host undrain",
  "HOST_CALLS.activate": "host activate",
  "HOST_CALLS.unbindKey": "host unbind-key",
  "IMAGE_CALLS.listAll": "no: for agents",
  "IMAGE_CALLS.download": "no: for agents",
  "IMAGE_CALLS.list": "image list",
  "IMAGE_CALLS.show": "deploy",
  "IMAGE_CALLS.push": "image push",
  "IMAGE_CALLS.remove": "image rm",
  "IMAGE_CALLS.verify": "no: zwrmd images verify asks it over the socket",
  "APP_CALLS.list": "apps",
  "APP_CALLS.create": "apps create",
  "APP_CALLS.show": "apps show",
  "APP_CALLS.remove": "apps rm",
  "APP_CALLS.listDeployments": "apps show",
  "APP_CALLS.deploy": "deploy",
  "APP_CALLS.showDeployment": "deploy",
  "APP_CALLS.scale": "scale",
  "MACHINE_CALLS.list": "machines",
  "MACHINE_CALLS.show": "machines show",
  "MACHINE_CALLS.remove": "machines rm",
  "MACHINE_CALLS.placement": "machines explain",
  "MACHINE_CALLS.stop": "machines stop",
  "MACHINE_CALLS.start": "machines start",
  "PEOPLE_CALLS.logIn": "auth login",
  "PEOPLE_CALLS.logOut": "auth logout",
  "PEOPLE_CALLS.whoami": "auth whoami",
  "PEOPLE_CALLS.listTokens": "auth tokens list",
  "PEOPLE_CALLS.createToken": "auth tokens create",
  "PEOPLE_CALLS.revokeToken": "auth tokens revoke",
  "PEOPLE_CALLS.listOrgs": "org list",
  "PEOPLE_CALLS.createOrg": "org create",
  "PEOPLE_CALLS.listMembers": "org members",
  "PEOPLE_CALLS.setMember": "org members set",
  "PEOPLE_CALLS.removeMember": "org members remove",
  "PEOPLE_CALLS.listUsers": "user list",
  "PEOPLE_CALLS.createUser": "user create",
  "PEOPLE_CALLS.removeUser": "user remove",
  "PEOPLE_CALLS.setPassword": "user passwd",
};

/** By handler: what is made by a POST that heeds no Idempotency-Key, and why it needs none. */
export const MADE_AGAIN: Readonly<Record<string, string>> = {
  registerHost: "its id makes it one",
  createToken: "its answer has a secret, which is shown once",
  createOrg: "its slug makes it one",
  createUser: "its email makes it one",
  drainHost: "a second one gives new terms",
};

/** Nouns whose requests the fuzzer (mutate.ts) does not spoil, and why. */
export const NOT_SPOILED: Readonly<Record<string, string>> = {
  apps: "read by the same schemas and the same way as those that are spoiled",
  machines: "nothing but an id comes in",
  orgs: "read as the others; a spoiled one that is good would leave orgs behind",
  users: "each good one costs a hash of a password",
  events: "a stream that ends with its reader",
  org: "reserved",
  databases: "reserved",
};

interface Laboratories {
  /** The file of the simulation that asks for it, or `no:` and why none does. */
  readonly simulation: string;
  /** Where its own files meet disks that fail; `journal` where it has none but the log's lines. */
  readonly disk: string;
}

const PERSONAL = "no: the simulation is about hosts; test/state/replay.test.ts mixes its events";

/** By noun, the first part of its paths. */
export const LABORATORIES: Readonly<Record<string, Laboratories>> = {
  hosts: { simulation: "test/simulation/commands.ts", disk: "journal" },
  apps: { simulation: "test/simulation/commands.ts", disk: "journal" },
  machines: { simulation: "test/simulation/commands.ts", disk: "journal" },
  images: { simulation: "test/simulation/images.ts", disk: "test/faults/images.test.ts" },
  auth: { simulation: PERSONAL, disk: "journal" },
  orgs: { simulation: PERSONAL, disk: "journal" },
  users: { simulation: PERSONAL, disk: "journal" },
  org: { simulation: "no: reserved", disk: "journal" },
  databases: { simulation: "no: reserved", disk: "journal" },
};

/** Paths that show what is there, and are no noun of their own. */
export const NO_NOUN: readonly string[] = ["", "metrics", "health", "ready", "openapi.json", "status", "events"];
