#!/usr/bin/env node
/** The host agent's entry point: arguments in, exit code out. */
import { main } from "./agent/main.ts";
import { systemClock } from "./lib/clock.ts";

process.exitCode = await main(process.argv.slice(2), process.env, systemClock);
