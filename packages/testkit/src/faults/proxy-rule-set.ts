// The rules in force on a proxy: which of them act on a connection or a chunk, and how often they did.
import type { Direction, ProxyRule, ProxyRuleKind, RuleHandle } from './proxy-rules.ts'

/** A rule that acts on the reply to a request. */
export type ReplyRule = Extract<ProxyRule, { readonly kind: 'eat-reply' | 'change-reply' }>

/** A rule that acts at a byte of a connection. */
export type ByteRule = Extract<ProxyRule, { readonly afterBytes: number }>

export interface RuleSet {
  add(rule: ProxyRule): RuleHandle
  clear(): void
  acted(): Record<ProxyRuleKind, number>
  /** Whether the connection that arrives now is refused; counts it. */
  refuses(): boolean
  /** The rule that eats or changes the reply to this request, reserved for it; it counts when the reply came. */
  awaits(request: Buffer): ReplyRule | undefined
  /** Counts that a reserved rule acted. */
  act(rule: ProxyRule): void
  /** Resolves when no blackhole holds `direction`; counts the wait. */
  lifted(direction: Direction): Promise<void>
  /** How long a chunk of `length` bytes travels, and how long it occupies the line, in milliseconds. */
  delays(direction: Direction, length: number): { readonly latencyMs: number; readonly sendingMs: number }
  /** The byte rule that a chunk of `length` bytes, after `before` bytes, reaches; counts it. */
  reached(direction: Direction, before: number, length: number): ByteRule | undefined
}

interface Entry {
  readonly rule: ProxyRule
  acted: number
  /** How often it may still act. */
  left: number
  readonly gone: PromiseWithResolvers<void>
}

const kinds: readonly ProxyRuleKind[] = [
  'latency',
  'bandwidth',
  'blackhole',
  'refuse',
  'eat-reply',
  'change-reply',
  'cut',
  'garbage',
  'half-close'
]

/** Creates an empty rule set; `random` spreads jitter. */
export function createRuleSet(random: () => number = Math.random): RuleSet {
  const entries = new Set<Entry>()
  const total = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<ProxyRuleKind, number>
  const lift = (entry: Entry): void => {
    entries.delete(entry)
    entry.gone.resolve()
  }
  const count = (entry: Entry): void => {
    entry.acted++
    total[entry.rule.kind]++
  }
  const live = <K extends ProxyRuleKind>(...wanted: readonly K[]) =>
    // The filter leaves the entries whose rule is of one of the wanted kinds.
    [...entries].filter(({ rule, left }) => left > 0 && (wanted as readonly string[]).includes(rule.kind)) as (Entry & {
      readonly rule: Extract<ProxyRule, { readonly kind: K }>
    })[]
  return {
    add(rule) {
      const left = 'times' in rule ? (rule.times ?? Infinity) : Infinity
      const entry: Entry = { rule, acted: 0, left, gone: Promise.withResolvers() }
      entries.add(entry)
      return { acted: () => entry.acted, [Symbol.dispose]: () => lift(entry) }
    },
    clear: () => [...entries].forEach(lift),
    acted: () => ({ ...total }),
    refuses() {
      const [entry] = live('refuse')
      if (entry === undefined) return false
      entry.left--
      count(entry)
      return true
    },
    awaits(request) {
      const entry = live('eat-reply', 'change-reply').find(({ rule }) => rule.when?.(request) ?? true)
      if (entry === undefined) return undefined
      entry.left--
      return entry.rule
    },
    act(rule) {
      const entry = [...entries].find((candidate) => candidate.rule === rule)
      if (entry === undefined) total[rule.kind]++
      else count(entry)
    },
    async lifted(direction) {
      for (;;) {
        const entry = live('blackhole').find(({ rule }) => rule.direction === direction || rule.direction === 'both')
        if (entry === undefined) return
        count(entry)
        await entry.gone.promise
      }
    },
    delays(direction, length) {
      const delays = { latencyMs: 0, sendingMs: 0 }
      for (const entry of live('latency', 'bandwidth')) {
        const { rule } = entry
        if (rule.direction !== direction) continue
        count(entry)
        if (rule.kind === 'latency') delays.latencyMs += rule.ms + (rule.jitterMs ?? 0) * random()
        else delays.sendingMs += (length / rule.bytesPerSecond) * 1_000
      }
      return delays
    },
    reached(direction, before, length) {
      const entry = live('cut', 'garbage', 'half-close').find(
        ({ rule }) => rule.direction === direction && before + length > rule.afterBytes
      )
      if (entry === undefined) return undefined
      entry.left--
      count(entry)
      return entry.rule
    }
  }
}
