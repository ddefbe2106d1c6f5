/**
 * What scripts/simulate runs: seed after seed, a line each; where an invariant breaks, what happened, and exit code 1.
 */
import { parseArgs } from "node:util";
import { simulate } from "./world.ts";

const USAGE = `usage: scripts/simulate [--seeds 1000] [--from 1] [--agents 1000] [--minutes 60]
       scripts/simulate --seed N [--agents 1000] [--minutes 60]
`;

function read(): {
  readonly from: number;
  readonly seeds: number;
  readonly agents: number;
  readonly minutes: number;
} | null {
  const number = { type: "string" } as const;
  const { values } = parseArgs({
    options: { seeds: number, from: number, agents: number, minutes: number, seed: number, help: { type: "boolean" } },
  });
  if (values.help === true) return null;
  const of = (text: string | undefined, otherwise: number): number => {
    const value = text === undefined ? otherwise : Number(text);
    if (!Number.isInteger(value) || value < 1) throw new Error(`${text ?? ""} is not a whole number from 1`);
    return value;
  };
  const one = values.seed === undefined ? null : of(values.seed, 1);
  return {
    from: one ?? of(values.from, 1),
    seeds: one === null ? of(values.seeds, 1_000) : 1,
    agents: of(values.agents, 1_000),
    minutes: of(values.minutes, 60),
  };
}

async function main(): Promise<number> {
  let asked;
  try {
    asked = read();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (asked === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  let failed = 0;
  for (let seed = asked.from; seed < asked.from + asked.seeds; seed += 1) {
    const began = performance.now();
    const { hash, events, heartbeats, lines, machines, daemonStarts, failure } = await simulate({
      seed,
      agents: asked.agents,
      minutes: asked.minutes,
    });
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    process.stdout.write(
      `seed ${seed}: ${failure === null ? "holds" : "BROKEN"} in ${seconds} s, trace ${hash}, ${events} ` +
        `events, ${heartbeats} heartbeats, ${lines} lines, ${machines} machines, ${daemonStarts} starts of the ` +
        "daemon\n",
    );
    if (failure === null) continue;
    failed += 1;
    process.stdout.write(`${failure}\n`);
  }
  if (asked.seeds > 1) process.stdout.write(`${asked.seeds - failed} of ${asked.seeds} seeds hold\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
