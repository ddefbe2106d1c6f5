// Asks without pause, over TCP and the unix socket, on new and on kept connections, until COUNT requests are done and
// the file DONE is there. Prints one line of JSON. A request on a kept connection that the daemon was just closing was
// in flight: it is counted and asked again. Usage: load.mjs COUNT DONE
import { existsSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const count = Number(process.argv[2]);
const doneFile = process.argv[3];
const UNIX = { socketPath: "/run/zwrm/zwrmd.sock" };
const TCP = { host: "127.0.0.1", port: 8080 };
const PAUSE_MS = 12;
const LIMIT_MS = 180_000;

const seen = {
  requests: 0,
  answered: 0,
  stopping: 0,
  refused: 0,
  reset: 0,
  in_flight_on_kept: 0,
  other: 0,
  slowest_ms: 0,
  errors: {},
};

function ask(where, path, agent) {
  return new Promise((resolve) => {
    const began = performance.now();
    let isConnected = false;
    const req = request({ ...where, path, agent, headers: { host: "localhost" } }, (res) => {
      res.resume();
      res.on("error", () => resolve("reset"));
      res.on("end", () => {
        seen.slowest_ms = Math.max(seen.slowest_ms, Math.round(performance.now() - began));
        resolve(res.statusCode === 200 ? "answered" : res.statusCode === 503 ? "stopping" : "other");
      });
    });
    req.on("socket", (socket) => {
      if (socket.connecting) socket.once("connect", () => (isConnected = true));
      else isConnected = true;
    });
    req.on("error", (error) => {
      const kind = !isConnected ? "refused" : req.reusedSocket ? "in_flight_on_kept" : "reset";
      const name = `${kind} ${error.code ?? error.message}`;
      seen.errors[name] = (seen.errors[name] ?? 0) + 1;
      resolve(kind);
    });
    req.setTimeout(30_000, () => req.destroy(new Error("no answer within 30 s")));
    req.end();
  });
}

async function worker(where, isKept) {
  const agent = isKept ? new Agent({ keepAlive: true, maxSockets: 1 }) : false;
  const end = performance.now() + LIMIT_MS;
  while ((seen.requests < count || !existsSync(doneFile)) && performance.now() < end) {
    const path = seen.requests % 2 === 0 ? "/" : "/v1/auth/whoami";
    seen.requests += 1;
    let outcome = await ask(where, path, agent);
    if (outcome === "in_flight_on_kept") {
      seen.in_flight_on_kept += 1;
      outcome = await ask(where, path, false);
    }
    seen[outcome] += 1;
    await sleep(PAUSE_MS);
  }
  if (agent !== false) agent.destroy();
}

const workers = [];
for (let index = 0; index < 12; index++) workers.push(worker(index % 3 === 2 ? UNIX : TCP, index % 2 === 1));
await Promise.all(workers);
console.log(JSON.stringify(seen));
