/** What the daemon says about itself, as lines; where they go is decided by the sink (http knows only `Log`). */
import type { Clock } from "./clock.ts";
import { toRfc3339 } from "./clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Takes whole lines without their newline; never blocks, may drop and count (log-sink.ts). */
export interface LineSink {
  write(line: string, level: LogLevel): void;
}

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** One line a message: `2026-01-02T03:04:05.678Z WARN the sentence key=value`, or the same as JSON. */
export function createLog(sink: LineSink, clock: Clock, format: "text" | "json", threshold: LogLevel): Log {
  const say =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (ORDER[level] < ORDER[threshold]) return;
      const at = toRfc3339(clock.wall());
      if (format === "json") {
        const head = { at, level, message };
        return sink.write(toOneLine(JSON.stringify({ ...head, ...fields, ...head })), level);
      }
      const pairs = Object.entries(fields).map(
        ([key, value]) => ` ${key}=${typeof value === "string" ? quote(value) : String(value)}`,
      );
      sink.write(`${at} ${level.toUpperCase()} ${toOneLine(message)}${pairs.join("")}`, level);
    };
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}

/** A value stays one word: anything with blanks, quotes or control characters is written as JSON. */
function quote(value: string): string {
  return /^[^\s"\\\p{Cc}]+$/u.test(value) ? value : toOneLine(JSON.stringify(value));
}

/**
 * A line stays one line and steers no terminal, whatever it quotes. JSON alone lets DEL, C1 controls (one of them
 * begins escape sequences) and Unicode's line ends through.
 */
function toOneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => {
    const json = JSON.stringify(char).slice(1, -1);
    return json === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : json;
  });
}
