// Series are declared as data and bound to a registry that is passed in, so a process may build a service twice.
// Label values come from closed sets: no project, event name, user id or raw error text.
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

interface Declaration<K extends string, L extends string> {
  readonly kind: K
  readonly name: string
  readonly help: string
  readonly labels: readonly L[]
}
export type CounterSpec<L extends string = string> = Declaration<'counter', L>
export interface GaugeSpec<L extends string = string> extends Declaration<'gauge', L> {
  /** What the gauges of several processes of one service are together. */
  readonly across: 'sum' | 'max' | 'average'
}
export interface HistogramSpec<L extends string = string> extends Declaration<'histogram', L> {
  readonly buckets: readonly number[]
}
export type MetricSpec = CounterSpec | GaugeSpec | HistogramSpec
export type MetricSpecs = Readonly<Record<string, MetricSpec>>

type Labels<L extends string> = [L] extends [never] ? Readonly<Record<string, never>> : Readonly<Record<L, string>>
type Args<L extends string> = [L] extends [never] ? [] : [labels: Labels<L>]

/** A series that only rises. */
export interface BoundCounter<L extends string> {
  add(value: number, ...labels: Args<L>): void
  /** The series of fixed labels: looked up once, for code that runs per event. */
  child(labels: Labels<L>): (value: number) => void
}
/** A series that is set. */
export interface BoundGauge<L extends string> {
  set(value: number, ...labels: Args<L>): void
  remove(...labels: Args<L>): void
}
/** A distribution. */
export interface BoundHistogram<L extends string> {
  observe(value: number, ...labels: Args<L>): void
  /** The series of fixed labels: looked up once, for code that runs per event. */
  child(labels: Labels<L>): (value: number) => void
}

type LabelOf<S extends MetricSpec> = S['labels'][number]

export type BoundMetrics<S extends MetricSpecs> = {
  readonly [K in keyof S]: S[K] extends { readonly kind: 'histogram' }
    ? BoundHistogram<LabelOf<S[K]>>
    : S[K] extends { readonly kind: 'gauge' }
      ? BoundGauge<LabelOf<S[K]>>
      : BoundCounter<LabelOf<S[K]>>
}

interface Options<L extends string> {
  readonly name: `analytics_${string}`
  readonly help: string
  readonly labels?: readonly L[]
}

/** Declares a counter; the name ends in `_total`. */
export function counter<const L extends string = never>(
  options: Options<L> & { name: `analytics_${string}_total` }
): CounterSpec<NoInfer<L>> {
  return { kind: 'counter', name: options.name, help: options.help, labels: options.labels ?? [] }
}

/** Declares a gauge; the name ends in its base unit. `across` is what several processes make of it; a sum if not said. */
export function gauge<const L extends string = never>(
  options: Options<L> & { across?: GaugeSpec['across'] }
): GaugeSpec<NoInfer<L>> {
  const { name, help, labels = [], across = 'sum' } = options
  return { kind: 'gauge', name, help, labels, across }
}

/** Declares a histogram in base units (seconds, bytes, rows). */
export function histogram<const L extends string = never>(
  options: Options<L> & { buckets: readonly number[] }
): HistogramSpec<NoInfer<L>> {
  return {
    kind: 'histogram',
    name: options.name,
    help: options.help,
    labels: options.labels ?? [],
    buckets: options.buckets
  }
}

/** The series of `startCpuCost`. */
export const cpuCostMetrics = {
  cpuPerEvent: gauge({
    name: 'analytics_cpu_us_per_event',
    help: 'CPU microseconds of this process per event of the last 10 seconds in which there were events.',
    labels: ['stage'],
    across: 'average'
  })
}

export type { Registry } from 'prom-client'

/** A fresh registry with the process metrics of Node. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** The series of a registry as plain data, for another process. */
export async function exportMetrics(registry: Registry): Promise<unknown> {
  return await registry.getMetricsAsJSON()
}

/** The text of /metrics over several processes: counters and histograms summed, gauges as they declare. */
export async function mergeMetrics(processes: readonly unknown[]): Promise<string> {
  // Both ends are this file: what arrives is what exportMetrics gave, by way of JSON.
  return await AggregatorRegistry.aggregate(processes as unknown as object[]).metrics()
}

/** The series of `specs` in `registry`. Binding one declaration twice to a registry yields the same series. */
export function bindMetrics<S extends MetricSpecs>(specs: S, registry: Registry): BoundMetrics<S> {
  const bound: Record<string, unknown> = {}
  for (const [key, spec] of Object.entries(specs)) bound[key] = bind(spec, registry)
  // Each entry was built from the spec of the same key; the mapped type cannot be followed through a loop.
  return bound as BoundMetrics<S>
}

function bind(spec: MetricSpec, registry: Registry): unknown {
  const options = { name: spec.name, help: spec.help, labelNames: [...spec.labels], registers: [registry] }
  const existing = registry.getSingleMetric(spec.name)
  switch (spec.kind) {
    case 'counter': {
      const metric = (existing as Counter | undefined) ?? new Counter(options)
      return {
        add: (value: number, labels?: Record<string, string>) =>
          labels === undefined ? metric.inc(value) : metric.inc(labels, value),
        child: (labels: Record<string, string>) => {
          const series = metric.labels(labels)
          return (value: number) => series.inc(value)
        }
      }
    }
    case 'gauge': {
      const metric = (existing as Gauge | undefined) ?? new Gauge({ ...options, aggregator: spec.across })
      return {
        set: (value: number, labels?: Record<string, string>) =>
          labels === undefined ? metric.set(value) : metric.set(labels, value),
        remove: (labels?: Record<string, string>) => metric.remove(labels ?? {})
      }
    }
    case 'histogram': {
      const metric = (existing as Histogram | undefined) ?? new Histogram({ ...options, buckets: [...spec.buckets] })
      return {
        observe: (value: number, labels?: Record<string, string>) =>
          labels === undefined ? metric.observe(value) : metric.observe(labels, value),
        child: (labels: Record<string, string>) => {
          const series = metric.labels(labels)
          return (value: number) => series.observe(value)
        }
      }
    }
  }
}
