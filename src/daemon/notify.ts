/**
 * What systemd is told of the daemon (sd_notify(3)): ready, alive, stopping, and why a start failed. It opens nothing:
 * Node knows no datagram sockets of the unix kind, so the unit hands over a connected one (`OpenFile=`, systemd 253 and
 * later); where none came, nothing is said.
 */
import { writeSync } from "node:fs";
import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { inheritedDescriptor, NOTIFY_NAME } from "./sockets.ts";

const MICROS_PER_MILLI = 1_000;

export interface Notifier {
  /**
   * Every listener is open. From here on the watchdog, where the unit has one, is fed from the event loop: a loop that
   * hangs starves it.
   */
  ready(): void;
  /** The stop has begun; the watchdog is fed until the end. */
  stopping(): void;
  /** The start failed: `systemctl status` shows the reason, as one line, until the next start. */
  failed(reason: string): void;
}

export interface NotifierOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly clock: Clock;
  /** Told once, with the reason, when a message could not be sent; a starved watchdog will restart the daemon. */
  readonly onLost?: (reason: string) => void;
  /** Sends one message whole; throws where it cannot. */
  readonly send?: (fd: number, message: string) => void;
}

/** A notifier for the descriptor that was passed, or one that does nothing. It never throws. */
export function createNotifier(options: NotifierOptions): Notifier {
  const fd = inheritedDescriptor(options.env, options.pid, NOTIFY_NAME);
  return fd === null ? SILENT : new DescriptorNotifier(fd, options);
}

const SILENT: Notifier = { ready: () => undefined, stopping: () => undefined, failed: () => undefined };

class DescriptorNotifier implements Notifier {
  readonly #fd: number;
  readonly #clock: Clock;
  readonly #send: (fd: number, message: string) => void;
  readonly #onLost: (reason: string) => void;
  readonly #watchdogMs: number | null;
  #cancel: Cancel = () => undefined;
  #isLost = false;

  constructor(fd: number, { env, pid, clock, onLost, send }: NotifierOptions) {
    this.#fd = fd;
    this.#clock = clock;
    this.#send = send ?? sendDatagram;
    this.#onLost = onLost ?? (() => undefined);
    this.#watchdogMs = watchdogOf(env, pid);
  }

  ready(): void {
    this.#tell("READY=1\nSTATUS=serving");
    this.#feed();
  }

  stopping(): void {
    this.#tell("STOPPING=1\nSTATUS=finishing what runs");
  }

  failed(reason: string): void {
    this.#cancel();
    this.#tell(`STATUS=${reason.replace(/\s*\n\s*/g, " ")}`);
  }

  /** Three times within the limit, so that one late turn of the loop is not taken for a hang. */
  #feed(): void {
    if (this.#watchdogMs === null) return;
    this.#cancel();
    this.#cancel = this.#clock.after(this.#watchdogMs / 3, () => {
      this.#tell("WATCHDOG=1");
      this.#feed();
    });
  }

  #tell(message: string): void {
    try {
      this.#send(this.#fd, message);
      this.#isLost = false;
    } catch (error) {
      if (!this.#isLost) this.#onLost(messageOf(error));
      this.#isLost = true;
    }
  }
}

/** A datagram is sent whole or not at all. */
function sendDatagram(fd: number, message: string): void {
  writeSync(fd, message);
}

/** The watchdog's limit in milliseconds (sd_watchdog_enabled(3)), or null where this process has none. */
function watchdogOf(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const micros = Number(env["WATCHDOG_USEC"] ?? "");
  const owner = env["WATCHDOG_PID"];
  if (!Number.isSafeInteger(micros) || micros <= 0 || (owner !== undefined && owner !== String(pid))) return null;
  return micros / MICROS_PER_MILLI;
}
