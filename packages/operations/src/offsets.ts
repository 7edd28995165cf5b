// Offsets are bigints, for which the language has no minimum and no maximum.

/** The lower one. */
export function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** The higher one. */
export function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

/** How many offsets lie in `parts`: from `from` on, before `to`. */
export function countOf(parts: readonly { readonly from: bigint; readonly to: bigint }[]): bigint {
  return parts.reduce((sum, { from, to }) => sum + to - from, 0n)
}
