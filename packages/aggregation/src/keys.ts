// Names of the live state in Redis. All keys of a project share its hash tag, so they lie in one cluster slot, and a
// script may build them from the first. Only the pointer and the list of epochs belong to no epoch.

/** The keys of one epoch; sets and hashes that grow have one key per hour, window or session. */
export interface StateKeys {
  /** stage, torn, from (complete from), deleted (through), late, closed, expired; layer and known of the filter. */
  readonly meta: string
  /** `n` partitions; by partition: `p` position, `f` append time of the record before it, `c` clock. */
  readonly positions: string
  /** Hours that have a set of digests, by hour. */
  readonly hours: string
  /** Windows by the time that they close at. */
  readonly open: string
  /** Windows by the time that they are deleted at. */
  readonly held: string
  /** Windows to emit, by start. */
  readonly dirty: string
  /** Open sessions by their last event. */
  readonly due: string
  /** Closed sessions by their last event. */
  readonly kept: string
  /** Closed sessions to emit. */
  readonly dirtySessions: string
  /** Digests counted in an hour. */
  seen(hour: number): string
  /**
   * A window: `n` events, `x` closed, `d` dimensions kept apart, `o` capped; by dimension `c` count, `h` and `l` sum
   * (h * 2^40 + l), `m` minimum, `M` maximum, `u` that there is a HyperLogLog.
   */
  window(name: string): string
  /** HyperLogLog of one dimension of a window. */
  unique(name: string, dimension: string): string
  /**
   * A session, twelve members in MessagePack one after another, so that a batch reads and writes all of its sessions in two
   * commands: first and last event, events, page views, converted, closed, contribution (empty before the first close),
   * the claims first, entry, exit, user, and whether its visitor is new (empty: not known).
   */
  session(id: string): string
  /** Bits of one layer of the filter of known visitors. */
  known(layer: number): string
}

/** The number of the project's live epoch. */
export function pointerKey(project: string): string {
  return `epoch:{${project}}`
}

/** The numbers of the epochs that have keys, those that are over and not swept yet included. */
export function epochsKey(project: string): string {
  return `epochs:{${project}}`
}

/** The keys of epoch `epoch` of `project`. */
export function stateKeys(project: string, epoch: number): StateKeys {
  const base = `{${project}}:${epoch}`
  return {
    meta: `meta:${base}`,
    positions: `pos:${base}`,
    hours: `hours:${base}`,
    open: `open:${base}`,
    held: `held:${base}`,
    dirty: `dirty:${base}`,
    due: `due:${base}`,
    kept: `kept:${base}`,
    dirtySessions: `dirty-sessions:${base}`,
    seen: (hour) => `seen:${base}:${hour}`,
    window: (name) => `metric:${base}:${name}`,
    unique: (name, dimension) => `uniq:${base}:${name}:${dimension}`,
    session: (id) => `analytics:session:${base}:${id}`,
    known: (layer) => `known:${base}:${layer}`
  }
}
