/** What test/run.mjs knows of the test files: which share a process, which take long, which are quick. */

/**
 * Rooms whose files share one process: they test what they import, in this process, and leave nothing behind in it.
 * Most of a small file's time on Node 20 is its start, and the modules that it reads are the same as its neighbour's.
 */
export const SHARING = [
  "test/agent",
  "test/api",
  "test/cli",
  "test/client",
  "test/config",
  "test/daemon",
  "test/fleet",
  "test/http",
  "test/identity",
  "test/images",
  "test/journal",
  "test/lib",
  "test/metrics",
  "test/readme",
  "test/state",
  "test/structure",
  "test/wire",
];

/**
 * What a file of those rooms does to its whole process; it gets one of its own. Hooks of a file are those of all files
 * there.
 */
export const NEEDS_ITS_OWN = new RegExp(
  [
    /^(?:before|after)(?:Each)?\(/,
    /\bprocess\.(?:env\[[^\]]+\] = |chdir\(|umask\(|exitCode = |on\(|once\()/,
    /\bmock\.|\bgc\(/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "m",
);

/**
 * What takes longest, the longest first, and no more than that: as `node test/run.mjs --times` prints it on a machine
 * that does nothing else. A folder stands for those of its files that share a process; a file of such a room that is
 * named here gets a process of its own, so that none of them is long.
 */
export const LONGEST = [
  "test/system/fleet-script.test.ts",
  "test/system/fuzz.test.ts",
  "test/system/state-journal.test.ts",
  "test/simulation/simulation.test.ts",
  "test/system/tour.test.ts",
  "test/system/fleet-drain.test.ts",
  "test/system/apps.test.ts",
  "test/system/stdout.test.ts",
  "test/agent/outage.test.ts",
  "test/faults/images.test.ts",
  "test/faults/journal-power-cut.test.ts",
  "test/journal/backup.test.ts",
  "test/system/backup.test.ts",
  "test/faults/journal-faults.test.ts",
  "test/system/fleet-loss.test.ts",
  "test/agent/program.test.ts",
  "test/agent/stop.test.ts",
  "test/system/tools.test.ts",
  "test/system/identity-rules.test.ts",
  "test/system/identity-events.test.ts",
  "test/system/commands.test.ts",
  "test/system/identity-standing.test.ts",
  "test/runner/runner.test.ts",
  "test/agent/with-daemon.test.ts",
  "test/agent/program-full-disk.test.ts",
  "test/agent/program-checks.test.ts",
  "test/agent/program-processes.test.ts",
  "test/agent/program-lost.test.ts",
  "test/journal/torn.test.ts",
  "test/system/cli-identity.test.ts",
  "test/cli/width.test.ts",
  "test/cli/terminal.test.ts",
  "test/cli/program.test.ts",
  "test/system/stop.test.ts",
  "test/faults/layers.test.ts",
  "test/identity",
  "test/fleet",
  "test/images",
  "test/journal",
  "test/state",
  "test/http",
];

/**
 * Files of which no coverage is taken: they run what other tests run as well, over and over or in hundreds of
 * processes, each of which would write down all that it ran. Without them the figure can only be smaller.
 */
export const UNCOUNTED = [
  "test/agent/outage.test.ts",
  "test/agent/program-full-disk.test.ts",
  "test/agent/program-processes.test.ts",
  "test/agent/stop.test.ts",
  "test/cli/program.test.ts",
  "test/cli/terminal.test.ts",
  "test/cli/width.test.ts",
  "test/faults/images.test.ts",
  "test/faults/journal-faults.test.ts",
  "test/faults/journal-power-cut.test.ts",
  "test/faults/layers.test.ts",
  "test/journal/backup.test.ts",
  "test/journal/torn.test.ts",
  "test/readme/commands.test.ts",
  "test/runner/runner.test.ts",
  "test/simulation/simulation.test.ts",
  "test/system/apps-machines.test.ts",
  "test/system/apps-rollout.test.ts",
  "test/system/backup.test.ts",
  "test/system/cli-identity.test.ts",
  "test/system/commands.test.ts",
  "test/system/connections.test.ts",
  "test/system/fleet-drain.test.ts",
  "test/system/fleet-images.test.ts",
  "test/system/fleet-loss.test.ts",
  "test/system/fleet-script.test.ts",
  "test/system/fleet-wiped.test.ts",
  "test/system/fuzz.test.ts",
  "test/system/identity-browser.test.ts",
  "test/system/identity-nginx.test.ts",
  "test/system/identity-rules.test.ts",
  "test/system/identity-standing.test.ts",
  "test/system/images-disk.test.ts",
  "test/system/state-displaced.test.ts",
  "test/system/state-full-disk.test.ts",
  "test/system/state-journal.test.ts",
  "test/system/state-kill.test.ts",
  "test/system/state-recovery.test.ts",
  "test/system/stdout.test.ts",
  "test/system/tools.test.ts",
  "test/system/tour.test.ts",
];

/** What `npm run test:quick` runs: all but the real programs, and what takes minutes. */
export const QUICK = SHARING.filter(
  (folder) => !["test/agent", "test/cli", "test/daemon", "test/journal"].includes(folder),
);

/** What of the quick rooms is not quick: it checks the types of a tree for each step of a new noun. */
export const NOT_QUICK = ["test/structure/add-a-noun.test.ts"];
