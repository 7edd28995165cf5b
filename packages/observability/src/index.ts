export { bindMetrics, counter, createRegistry, exportMetrics, gauge, histogram, mergeMetrics } from './metrics.ts'
export type {
  BoundCounter,
  BoundGauge,
  BoundHistogram,
  BoundMetrics,
  CounterSpec,
  GaugeSpec,
  HistogramSpec,
  MetricSpec,
  MetricSpecs,
  Registry
} from './metrics.ts'
export { startCpuCost } from './cpu-cost.ts'
export type { CpuCost } from './cpu-cost.ts'
export { createLogger, createSilentLogger } from './logger.ts'
export type { Logger } from './logger.ts'
export { addOpsRoutes, checkHealth, createOpsApp, mergeHealth } from './ops-server.ts'
export type { Health, HealthCheck, HttpApp, OpsState } from './ops-server.ts'
