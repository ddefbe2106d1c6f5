#!/usr/bin/env node
/** The daemon's entry point: arguments in, exit code out. */
import { main } from "./daemon/main.ts";

process.exitCode = await main(process.argv.slice(2), process.env);
