/** Two real agents pull the image of an app from the real daemon, over connections that are cut at random. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, createReadStream, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import test from "node:test";
import type { TestContext } from "node:test";
import { LICENCE, TestAgent } from "../agent/test-agent.ts";
import { eventually, startDaemon } from "../support/daemon.ts";
import { pick } from "../support/json.ts";
import { random } from "../support/random.ts";

const MIB = 1024 * 1024;
const IMAGE_BYTES = 300 * MIB;
const SEED = Number(process.env["ZWRM_SEED"] ?? "20261125");

/**
 * Passes connections on, and breaks each after a random number of bytes towards the agent. Counts what went that way.
 */
class CuttingProxy {
  sentBytes = 0;
  cuts = 0;
  readonly #next = random(SEED);
  readonly #server: net.Server;
  #port = 0;

  constructor(context: TestContext, target: number) {
    const open = new Set<net.Socket>();
    this.#server = net.createServer((client) => {
      const upstream = net.connect(target, "127.0.0.1");
      let left = 10 * MIB + this.#next(60 * MIB);
      const end = (): void => {
        client.destroy();
        upstream.destroy();
      };
      for (const socket of [client, upstream]) {
        open.add(socket);
        socket.on("error", end).on("close", () => (open.delete(socket), end()));
      }
      client.pipe(upstream);
      upstream.on("data", (part: Buffer) => {
        this.sentBytes += part.length;
        left -= part.length;
        if (!client.write(part)) {
          upstream.pause();
          client.once("drain", () => upstream.resume());
        }
        if (left > 0) return;
        this.cuts += 1;
        end();
      });
    });
    context.after(() => {
      this.#server.close();
      for (const socket of open) socket.destroy();
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.#port}`;
  }
}

/** A file of random bytes and its digest. */
function makeImage(path: string): string {
  const hash = createHash("sha256");
  const fd = openSync(path, "w");
  for (let written = 0; written < IMAGE_BYTES; written += MIB) {
    const part = randomBytes(MIB);
    hash.update(part);
    writeSync(fd, part);
  }
  closeSync(fd);
  return `sha256:${hash.digest("hex")}`;
}

test(
  `two agents pull the same image of 300 MiB over connections cut at random (seed ${SEED}): whole, ` +
    "verified, and at most 1.1 times what was missing",
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "zwrm-image-"));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    const digest = makeImage(join(folder, "image"));
    const daemon = await startDaemon(
      { config: `[license]\nkey_hashes = ["${createHash("sha256").update(LICENCE).digest("hex")}"]\n` },
      context,
    );
    const upload = http.request({
      port: daemon.port,
      method: "PUT",
      path: `/v1/images/${digest}`,
      headers: { "Content-Length": IMAGE_BYTES },
    });
    const pushed = new Promise<number | undefined>((resolve, reject) =>
      upload.once("response", (response) => (response.resume(), resolve(response.statusCode))).once("error", reject),
    );
    await pipeline(createReadStream(join(folder, "image")), upload);
    assert.equal(await pushed, 201);

    const proxy = new CuttingProxy(context, daemon.port);
    const url = await proxy.listen();
    // The machine reads its image to the end: it must be whole when it starts.
    const agents = ["h-1", "h-2"].map(
      (id) =>
        new TestAgent(
          url,
          context,
          'command = ["/bin/sh", "-c", "sha256sum \\"$0\\"; exec sleep 1000", "{image}"]',
          `host_id = "${id}"`,
        ),
    );
    for (const agent of agents) agent.start();
    // On a busy machine one may come much later than the other, which would have both machines then.
    await eventually(
      "both agents to be registered",
      async () => {
        const list = pick((await daemon.request("GET", "/v1/hosts")).json, "hosts");
        return Array.isArray(list) && list.length === agents.length ? true : undefined;
      },
      60_000,
    );
    assert.equal((await daemon.request("POST", "/v1/apps", { body: { name: "big" } })).status, 201);
    assert.equal(
      (await daemon.request("POST", "/v1/apps/big/deployments", { body: { image: digest, replicas: 2 } })).status,
      202,
    );
    const machines = await eventually(
      "two machines that run, one a host",
      async () => {
        const list = pick((await daemon.request("GET", "/v1/machines?app_id=big&state=running")).json, "machines");
        return Array.isArray(list) && list.length === 2 ? list : undefined;
      },
      120_000,
    );
    assert.deepEqual(machines.map((machine) => pick(machine, "host_id")).sort(), ["h-1", "h-2"]);
    for (const agent of agents) {
      const [machine] = agent.processes();
      assert.ok(machine !== undefined);
      const console = await eventually(
        "the machine's own sum",
        async () => (await agent.command("logs", machine.id)).stdout.match(/^[0-9a-f]{64}/m)?.[0],
        30_000,
      );
      assert.equal(console, digest.slice(7));
    }
    context.diagnostic(
      `${proxy.cuts} connections cut; ${(proxy.sentBytes / (2 * IMAGE_BYTES)).toFixed(4)} of what was missing ` +
        "went over the wire",
    );
    assert.ok(proxy.cuts >= 8, `${proxy.cuts} cuts`);
    assert.ok(proxy.sentBytes <= 2 * IMAGE_BYTES * 1.1, `${proxy.sentBytes} bytes for ${2 * IMAGE_BYTES}`);
  },
);
