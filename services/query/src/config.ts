// Settings of the query service.
import {
  bytes,
  clickhouseFields,
  clickhouseReplicaFields,
  httpFields,
  int,
  liveStateFields,
  logFields,
  ms,
  oneOf,
  postgresFields,
  postgresReplicaFields,
  redisCacheFields,
  redisCacheReplicaFields,
  redisStateFields,
  secret
} from '@millrace/config'
import type { ConfigOf } from '@millrace/config'
import type { AuditPolicy } from './audit/audit-log.ts'
import type { CacheTimes } from './cache/freshness.ts'
import { smallBytes } from './collect-answer.ts'
import type { QueryLimits } from './run-query.ts'

export const querySpec = {
  ...logFields,
  ...httpFields(4002),
  ...postgresFields,
  ...postgresReplicaFields,
  ...clickhouseFields,
  ...clickhouseReplicaFields,
  ...redisCacheFields,
  ...redisCacheReplicaFields,
  ...redisStateFields,
  CONVERSION_TYPES: liveStateFields.CONVERSION_TYPES,
  LATENESS_MS: liveStateFields.LATENESS_MS,
  API_KEY_PEPPER: secret({ doc: 'Secret that API keys are hashed with; the same for every service and the CLI.' }),
  QUERY_TIMEOUT_MS: ms({
    doc: 'Longest time of a query, waiting for a place included.',
    default: 10_000,
    min: 1_000,
    max: 300_000
  }),
  QUERY_MAX_RESULT_ROWS: int({ doc: 'Most rows of an answer; a longer one is an error.', default: 10_000, min: 1 }),
  QUERY_MAX_RESULT_BYTES: bytes({ doc: 'Most bytes of an answer.', default: 16 * 1024 ** 2, min: 1_024 }),
  QUERY_BYTES_AT_ONCE: bytes({
    doc: 'Bytes of answers over 1 MiB that are in memory at once, from the engine to the last byte sent.',
    default: 64 * 1024 ** 2,
    min: 1024 ** 2
  }),
  QUERY_STREAM_MAX_ROWS: int({ doc: 'Most rows of an answer sent as NDJSON.', default: 1_000_000, min: 1 }),
  QUERY_MAX_READ_ROWS: int({ doc: 'Most rows a query may read.', default: 1_000_000_000, min: 1 }),
  QUERY_MAX_MEMORY_BYTES: bytes({
    doc: 'Most memory a query may take in the engine.',
    default: 1024 ** 3,
    min: 1024 ** 2
  }),
  QUERY_MAX_THREADS: int({ doc: 'Threads of the engine per query.', default: 2, min: 1, max: 64 }),
  QUERY_CONCURRENCY: int({ doc: 'Queries that run at once.', default: 8, min: 1, max: 256 }),
  QUERY_PROJECT_CONCURRENCY: int({ doc: 'Queries of one project that run at once.', default: 2, min: 1, max: 256 }),
  QUERY_QUEUE: int({ doc: 'Queries that wait for a place; more are answered 503.', default: 32, min: 0, max: 10_000 }),
  QUERY_QUEUE_MS: ms({ doc: 'Longest wait for a place.', default: 2_000, min: 0, max: 60_000 }),
  QUERY_SCAN_BYTES_PER_SECOND: bytes({
    doc: 'Bytes that the queries of a project may read in a second, in the long run; 0: no limit.',
    default: 512 * 1024 ** 2,
    min: 0
  }),
  QUERY_SCAN_BURST_BYTES: bytes({
    doc: 'Bytes that the queries of a project may read at once after a rest.',
    default: 256 * 1024 ** 3,
    min: 1024 ** 2
  }),
  QUERY_AUDIT: oneOf({
    doc: 'Questions that get a row in query_audit: those that the cache did not answer, all, or none.',
    default: 'engine',
    values: ['engine', 'all', 'off']
  }),
  QUERY_AUDIT_TEXT: oneOf({
    doc: 'What these rows tell of a question: its hash, or its text, too, which may hold personal data.',
    default: 'hash',
    values: ['hash', 'text']
  }),
  QUERY_AUDIT_KEEP_MS: ms({ doc: 'How long these rows are kept.', default: 90 * 86_400_000, min: 3_600_000 }),
  METRICS_CONCURRENCY: int({
    doc: 'Questions of metrics to the warehouse that run at once, beside the queries.',
    default: 4,
    min: 1,
    max: 256
  }),
  CACHE_FRESH_MS: ms({
    doc: 'An answer over a time that goes on is sent again for this long.',
    default: 30_000,
    min: 0,
    max: 3_600_000
  }),
  CACHE_FRESH_CLOSED_MS: ms({
    doc: 'An answer over a time that is over is sent again for this long; events may still arrive late.',
    default: 600_000,
    min: 0,
    max: 3_600_000
  }),
  CACHE_STALE_MS: ms({
    doc: 'For this long after its time an answer may stand in, marked STALE, while no other can be had.',
    default: 600_000,
    min: 0,
    max: 3_600_000
  }),
  CACHE_TTL_MS: ms({ doc: 'No answer is kept longer.', default: 3_600_000, min: 1_000, max: 86_400_000 }),
  CACHE_MAX_BYTES: bytes({
    doc: 'Larger answers are not kept; what takes room of QUERY_BYTES_AT_ONCE never is.',
    default: smallBytes,
    min: 1_024,
    max: smallBytes
  }),
  CACHE_LOCAL_BYTES: bytes({
    doc: 'Answers in the memory of the process, for when neither Redis nor the warehouse can be asked.',
    default: 32 * 1024 ** 2,
    min: 0
  }),
  CACHE_TIMEOUT_MS: ms({ doc: 'Longest wait for the cache.', default: 50, min: 5, max: 1_000 }),
  BREAKER_RESET_MS: ms({
    doc: 'A store that failed too often is left alone for this long, then one call probes it.',
    default: 30_000,
    min: 100,
    max: 600_000
  })
}

type Config = ConfigOf<typeof querySpec>

/** How long answers are kept. */
export function cacheTimes(config: Config): CacheTimes {
  return {
    freshOpenMs: config.CACHE_FRESH_MS,
    freshClosedMs: config.CACHE_FRESH_CLOSED_MS,
    staleOpenMs: config.CACHE_STALE_MS,
    ttlMs: config.CACHE_TTL_MS,
    mistakeMs: Math.min(30_000, config.CACHE_TTL_MS)
  }
}

/** What one query may take. */
export function queryLimits(config: Config): QueryLimits {
  return {
    maxResultRows: config.QUERY_MAX_RESULT_ROWS,
    maxResultBytes: config.QUERY_MAX_RESULT_BYTES,
    maxReadRows: config.QUERY_MAX_READ_ROWS,
    maxMemoryBytes: config.QUERY_MAX_MEMORY_BYTES,
    maxThreads: config.QUERY_MAX_THREADS
  }
}

/** Which questions get a row, what it tells of them, and for how long. */
export function auditPolicy(config: Config): AuditPolicy {
  return { questions: config.QUERY_AUDIT, text: config.QUERY_AUDIT_TEXT, keepMs: config.QUERY_AUDIT_KEEP_MS }
}
