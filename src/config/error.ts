/** The one error that loading a configuration throws. */

/** Everything that is wrong, at once. `message` is one line for one problem, else a heading and a line for each. */
export class ConfigError extends Error {
  /**
   * Each as `FILE:LINE: [section] key: what is wrong`, or `VARIABLE: what is wrong`; a syntax error may bring its line
   * and a caret in two more lines.
   */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const [only = ""] = problems;
    super(
      problems.length === 1
        ? only
        : [`the configuration has ${problems.length} mistakes:`, ...problems.map((problem) => `  ${problem}`)].join(
            "\n",
          ),
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}
