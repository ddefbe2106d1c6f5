/** Who may do what, as two tables that a person can read: written from the contract, not from the code. */

/**
 * Every route: whose it is, the scope that a key with scopes needs, and what the requests of this matrix are answered
 * once they are let in (they ask for things that are not there wherever a success would change something).
 *
 * public: anyone. agent: the licence. anyone: whoever has credentials. session: a session only. own: in the caller's
 * own org. image: an image of acme's. members: who is in acme. owner: acme's owners. admin: host-admins.
 */
const ROUTES = `
  GET    /                                        public   -             200
  GET    /metrics                                 public   -             200
  GET    /v1/health                               public   -             200
  GET    /v1/ready                                public   -             200
  GET    /v1/openapi.json                         public   -             200
  POST   /v1/auth/login                           public   -             400 invalid_field
  POST   /v1/internal/hosts/register              agent    -             400 invalid_field
  POST   /v1/internal/hosts/{host_id}/heartbeat   agent    -             404 host_not_registered
  POST   /v1/internal/hosts/{host_id}/deregister  agent    -             404 host_not_registered
  GET    /v1/internal/images                      agent    -             200
  GET    /v1/internal/images/{digest}             agent    -             200
  GET    /v1/hosts                                admin    hosts:read    200
  POST   /v1/hosts/replace-lost                   admin    hosts:write   200
  GET    /v1/hosts/{host_id}                      admin    hosts:read    404 host_not_found
  DELETE /v1/hosts/{host_id}                      admin    hosts:write   404 host_not_found
  POST   /v1/hosts/{host_id}/drain                admin    hosts:write   404 host_not_found
  GET    /v1/hosts/{host_id}/drain-status         admin    hosts:read    404 host_not_found
  POST   /v1/hosts/{host_id}/undrain              admin    hosts:write   404 host_not_found
  POST   /v1/hosts/{host_id}/activate             admin    hosts:write   404 host_not_found
  DELETE /v1/hosts/{host_id}/key                  admin    hosts:write   404 host_not_found
  GET    /v1/images                               own      images:read   200
  GET    /v1/images/{digest}                      image    images:read   200
  PUT    /v1/images/{digest}                      own      images:write  422 digest_mismatch
  DELETE /v1/images/{digest}                      own      images:write  404 image_not_found
  POST   /v1/images/verify                        admin    images:write  200
  POST   /v1/auth/logout                          session  -             204
  GET    /v1/auth/whoami                          anyone   -             200
  GET    /v1/auth/tokens                          anyone   -             200
  POST   /v1/auth/tokens                          anyone   -             400 invalid_field
  DELETE /v1/auth/tokens/{id}                     anyone   -             404 token_not_found
  GET    /v1/org/quota                            own      status:read   200
  PUT    /v1/orgs/{id}/quota                      admin    admin         200
  GET    /v1/orgs                                 anyone   -             200
  POST   /v1/orgs                                 admin    admin         400 invalid_field
  GET    /v1/orgs/{id}/members                    members  admin         200
  PUT    /v1/orgs/{id}/members/{user_id}          owner    admin         404 user_not_found
  DELETE /v1/orgs/{id}/members/{user_id}          owner    admin         404 user_not_found
  GET    /v1/users                                admin    admin         200
  POST   /v1/users                                admin    admin         400 invalid_field
  DELETE /v1/users/{id}                           admin    admin         404 user_not_found
  PUT    /v1/users/{id}/password                  own      admin         404 user_not_found
  GET    /v1/events                               admin    admin         200
  GET    /v1/status                               own      status:read   200
  GET    /v1/apps                                 own      apps:read     200
  POST   /v1/apps                                 own      apps:write    400 invalid_field
  GET    /v1/apps/{id}                            own      apps:read     404 app_not_found
  DELETE /v1/apps/{id}                            own      apps:write    404 app_not_found
  GET    /v1/apps/{id}/deployments                own      apps:read     404 app_not_found
  POST   /v1/apps/{id}/deployments                own      apps:write    400 invalid_field
  GET    /v1/apps/{id}/deployments/{deployment_id}  own      apps:read     404 app_not_found
  POST   /v1/apps/{id}/scale                      own      apps:write    400 invalid_field
  GET    /v1/machines                             own      apps:read     200
  GET    /v1/machines/{id}                        own      apps:read     404 machine_not_found
  DELETE /v1/machines/{id}                        own      apps:write    404 machine_not_found
  GET    /v1/machines/{id}/placement              own      apps:read     404 machine_not_found
  POST   /v1/machines/{id}/stop                   own      apps:write    404 machine_not_found
  POST   /v1/machines/{id}/start                  own      apps:write    404 machine_not_found
  GET    /v1/apps/{id}/volumes                    own      apps:read     501 not_available_yet
  POST   /v1/apps/{id}/volumes                    own      apps:write    501 not_available_yet
  GET    /v1/apps/{id}/secrets                    own      apps:read     501 not_available_yet
  POST   /v1/apps/{id}/secrets                    own      apps:write    501 not_available_yet
  GET    /v1/org/secrets                          own      apps:read     501 not_available_yet
  POST   /v1/org/secrets                          own      apps:write    501 not_available_yet
  GET    /v1/databases                            own      apps:read     501 not_available_yet
  POST   /v1/databases                            own      apps:write    501 not_available_yet`;

/**
 * Every kind of caller against whose the route is. `in`: let in; `adm`: 403 host_admin_required; `403`: forbidden;
 * `404`: the thing is another org's.
 */
const CALLERS = `
                                                  public  agent  anyone  session  own  image  members  owner  admin
  nobody, from the machine's own address          in      401    401     401      401  401    401      401    401
  a token that is none                            in      401    401     401      401  401    401      401    401
  a token of the right shape that nobody holds    in      401    401     401      401  401    401      401    401
  expired session                                 in      401    401     401      401  401    401      401    401
  revoked session                                 in      401    401     401      401  401    401      401    401
  expired key                                     in      401    401     401      401  401    401      401    401
  revoked key                                     in      401    401     401      401  401    401      401    401
  session of a removed user                       in      401    401     401      401  401    401      401    401
  key of a removed user                           in      401    401     401      401  401    401      401    401
  session of a removed membership                 in      401    401     401      401  401    401      401    401
  member                                          in      401    in      in       in   in     in       403    adm
  member's key                                    in      401    in      403      in   in     in       403    adm
  member's key with exactly the scope             in      401    in      403      in   in     in       403    adm
  member's key with every scope but this          in      401    in      403      403  403    403      403    adm
  member of another org                           in      401    in      in       in   404    404      404    adm
  key of a member of another org                  in      401    in      403      in   404    404      404    adm
  member who names another org                    in      401    404     404      404  404    404      404    404
  member of both orgs, in the other               in      401    in      in       in   404    in       403    adm
  member of both orgs who names acme              in      401    in      in       in   in     in       403    adm
  key of a member of both orgs, of the other      in      401    in      403      in   404    404      404    adm
  key of a member of both orgs that names acme    in      401    404     404      404  404    404      404    404
  owner                                           in      401    in      in       in   in     in       in     adm
  owner's key with exactly the scope              in      401    in      403      in   in     in       in     adm
  host-admin                                      in      401    in      in       in   in     in       in     in
  host-admin who names an org that is not there   in      401    404     404      404  404    404      404    404
  host-admin in another org                       in      401    in      in       in   404    in       in     in
  host-admin's key                                in      401    in      403      in   in     in       in     in
  host-admin's key with exactly the scope         in      401    in      403      in   in     in       in     in
  host-admin's key with every scope but this      in      401    in      403      403  403    403      403    403
  host-admin's key with the scope admin           in      401    in      403      in   in     in       in     in
  host-admin's key without any scope              in      401    in      403      403  403    403      403    403
  localhost                                       in      401    in      403      in   in     in       in     in
  unix socket                                     in      401    in      403      in   in     in       in     in
  unix socket with a wrong token                  in      401    401     401      401  401    401      401    401
  localhost + Authorization: Bearer x             in      401    401     401      401  401    401      401    401
  localhost + Authorization: Basic eDp5           in      401    401     401      401  401    401      401    401
  localhost + Authorization:                      in      401    401     401      401  401    401      401    401
  localhost + Forwarded: for=127.0.0.1            in      401    401     401      401  401    401      401    401
  localhost + X-Forwarded-For: 127.0.0.1          in      401    401     401      401  401    401      401    401
  localhost + X-Forwarded-Host: localhost         in      401    401     401      401  401    401      401    401
  localhost + X-Forwarded-Proto: http             in      401    401     401      401  401    401      401    401
  localhost + X-Forwarded-Anything:               in      401    401     401      401  401    401      401    401
  localhost + X-Real-IP: 127.0.0.1                in      401    401     401      401  401    401      401    401
  localhost + Via: 1.1 proxy                      in      401    401     401      401  401    401      401    401
  localhost + Origin: http://localhost            in      401    401     401      401  401    401      401    401
  localhost + Origin: null                        in      401    401     401      401  401    401      401    401
  localhost + Sec-Fetch-Site: cross-site          in      401    401     401      401  401    401      401    401
  localhost + Sec-Fetch-Site: same-origin         in      401    401     401      401  401    401      401    401
  localhost + Host: evil.example                  in      401    401     401      401  401    401      401    401
  localhost + Host: 127.0.0.1.evil.example        in      401    401     401      401  401    401      401    401
  localhost, two Hosts                            400     400    400     400      400  400    400      400    400
  localhost, two Authorizations                   400     400    400     400      400  400    400      400    400
  localhost, HTTP/1.0 without Host                in      401    401     401      401  401    401      401    401
  localhost, HTTP/1.0 with Host                   in      401    401     401      401  401    401      401    401
  localhost, absolute-form target                 in      401    401     401      401  401    401      401    401
  localhost with the bypass off                   in      401    401     401      401  401    401      401    401
  licence hash                                    in      in     401     401      401  401    401      401    401
  licence hash of before a reload, kept           in      in     401     401      401  401    401      401    401
  licence hash of before a reload, rotated out    in      401    401     401      401  401    401      401    401
  licence hash, wrong                             in      401    401     401      401  401    401      401    401
  licence key itself                              in      401    401     401      401  401    401      401    401
  licence hash, from the machine's own address    in      in     401     401      401  401    401      401    401`;

export interface RouteRow {
  readonly name: string;
  readonly method: string;
  readonly pattern: string;
  readonly whose: string;
  readonly scope: string | null;
  readonly letIn: string;
}

/** What caller gets on a route of each kind. */
export type CallerRow = Readonly<Record<string, string>>;

function rowsOf(table: string): string[][] {
  const lines = table.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => line.trim().split(/ {2,}/));
}

export function routeRows(): Map<string, RouteRow> {
  const rows = rowsOf(ROUTES).map((cells): [string, RouteRow] => {
    const [method = "", pattern = "", whose = "", scope = "", letIn = ""] = cells.flatMap((cell, index) =>
      index === 0 ? cell.split(/ +/) : [cell],
    );
    return [
      `${method} ${pattern}`,
      { name: `${method} ${pattern}`, method, pattern, whose, scope: scope === "-" ? null : scope, letIn },
    ];
  });
  return new Map(rows);
}

export function callerRows(): Map<string, CallerRow> {
  const [head = [], ...rows] = rowsOf(CALLERS);
  return new Map(
    rows.map(([name = "", ...cells]): [string, CallerRow] => [
      name,
      Object.fromEntries(head.map((whose, index) => [whose, cells[index] ?? "?"])),
    ]),
  );
}

const IN_WORDS: Readonly<Record<string, string>> = {
  "401": "401 unauthorized",
  "403": "403 forbidden",
  adm: "403 host_admin_required",
  "400": "400 malformed_request",
};

/** The answer that the tables promise. */
export function promised(route: RouteRow, caller: CallerRow): string {
  const cell = caller[route.whose] ?? "?";
  if (cell === "in") return route.letIn;
  if (cell !== "404") return IN_WORDS[cell] ?? "?";
  return route.whose === "image" && caller["own"] === "in" ? "404 image_not_found" : "404 org_not_found";
}
