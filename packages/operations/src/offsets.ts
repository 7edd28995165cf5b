// Offsets are bigints, for which the language has no minimum and no maximum.

/** The lower one. */
export function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** The higher one. */
export function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
