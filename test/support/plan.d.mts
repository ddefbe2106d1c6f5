export const SHARING: readonly string[];
export const NEEDS_ITS_OWN: RegExp;
export const LONGEST: readonly string[];
export const UNCOUNTED: readonly string[];
export const QUICK: readonly string[];
export const NOT_QUICK: readonly string[];
