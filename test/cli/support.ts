/**
 * Runs the command line in this process against a server of the test, with outputs that are kept and a clock that
 * stands still.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Input, Io, Output } from "../../src/cli/io.ts";
import { main } from "../../src/cli/main.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { Answering, FakeServer } from "../client/support.ts";
import { ManualClock, serve, until } from "../client/support.ts";

export class Screen implements Output {
  text = "";
  readonly isTerminal: boolean;
  readonly columns: number;

  constructor({
    isTerminal = false,
    columns = isTerminal ? 80 : Infinity,
  }: { readonly isTerminal?: boolean; readonly columns?: number } = {}) {
    this.isTerminal = isTerminal;
    this.columns = columns;
  }

  write(text: string): void {
    this.text += text;
  }

  /** What a terminal would show at last: each line as it stands after the last carriage return and clearing. */
  get shown(): string {
    const lines = this.text.split("\n").map((line) => line.split("\r").at(-1)?.replace("\u001b[K", "") ?? "");
    return lines.join("\n");
  }
}

/** What is typed or piped in, piece by piece; `raw` tells each change of the terminal's mode, in order. */
export class Keyboard implements Input {
  readonly isTerminal: boolean;
  readonly raw: boolean[] = [];
  readonly #interrupts = new Set<() => void>();
  #pieces: string[];

  constructor(pieces: readonly string[], { isTerminal = true } = {}) {
    this.isTerminal = isTerminal;
    this.#pieces = [...pieces];
  }

  setRaw(raw: boolean): void {
    this.raw.push(raw);
  }

  read(): Promise<string | null> {
    return Promise.resolve(this.#pieces.shift() ?? null);
  }

  unread(text: string): void {
    if (text !== "") this.#pieces.unshift(text);
  }

  onInterrupt(run: () => void): () => void {
    this.#interrupts.add(run);
    return () => void this.#interrupts.delete(run);
  }

  /** Ctrl-C, but the program goes on. Gives how many listened. */
  interrupt(): number {
    for (const run of this.#interrupts) run();
    return this.#interrupts.size;
  }
}

export interface World {
  readonly stdin?: Input;
  readonly env?: Readonly<Record<string, string>>;
  readonly home?: string;
  readonly clock?: Clock;
  readonly stdout?: Screen;
  readonly stderr?: Screen;
}

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One run of zwrm without a home folder, unless the world has one. */
export async function zwrm(argv: readonly string[], world: World = {}): Promise<Run> {
  const stdout = world.stdout ?? new Screen();
  const stderr = world.stderr ?? new Screen();
  const stdin = world.stdin ?? new Keyboard([], { isTerminal: false });
  const io: Io = {
    stdin,
    stdout,
    stderr,
    env: world.env ?? {},
    home: world.home ?? "/nonexistent",
    clock: world.clock ?? new ManualClock(),
  };
  const code = await main(argv, io);
  return { code, out: stdout.text, err: stderr.text };
}

/** Lets a run go on to its end: whatever it pauses for (never as long as a call may take) is over at once. */
export async function finish(run: Promise<Run>, clock: ManualClock): Promise<Run> {
  let ended = false;
  const mark = (): void => void (ended = true);
  run.then(mark, mark);
  await until(() => {
    if (clock.nextMs <= 5_000) clock.advance(clock.nextMs);
    return ended;
  });
  return run;
}

export async function fakeApi(
  t: TestContext,
  answer: Answering,
): Promise<FakeServer & { run(line: string, world?: World): Promise<Run> }> {
  const server = await serve(answer);
  t.after(() => server.close());
  return { ...server, run: (line, world) => zwrm(["--api-url", server.url, ...line.split(" ")], world) };
}

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "zwrm-cli-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A host as the API shows it; the manual clock's wall time begins at 2026-03-01T12:00:00Z. */
export function host(id: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id,
    hostname: `${id}.example`,
    region: "eu",
    datacenter: "fra1",
    ip_address: "10.0.0.7",
    grpc_port: 9090,
    agent_version: "1.2.0",
    labels: { rack: "r7", disk: "nvme" },
    status: "active",
    health: "online",
    mode: "active",
    mode_reason: null,
    capacity: { cpus: 8, memory_mb: 16_384, disk_mb: 512_000 },
    allocated: { cpus: 2, memory_mb: 512, disk_mb: 0 },
    available: { cpus: 6, memory_mb: 15_872, disk_mb: 512_000 },
    usage: null,
    machine_count: 2,
    registered_at: "2026-02-27T12:00:00.000Z",
    last_heartbeat_at: "2026-03-01T11:59:48.000Z",
    ...more,
  };
}
