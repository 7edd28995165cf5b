// Settings of the query service.
import { bytes, clickhouseFields, httpFields, int, logFields, ms, postgresFields, secret } from '@millrace/config'

export const querySpec = {
  ...logFields,
  ...httpFields(4002),
  ...postgresFields,
  ...clickhouseFields,
  API_KEY_PEPPER: secret({ doc: 'Secret that API keys are hashed with; the same for every service and the CLI.' }),
  QUERY_TIMEOUT_MS: ms({ doc: 'Longest time a query may run.', default: 10_000, min: 1_000, max: 300_000 }),
  QUERY_MAX_RESULT_ROWS: int({ doc: 'Most rows of an answer; a longer one is an error.', default: 10_000, min: 1 }),
  QUERY_MAX_RESULT_BYTES: bytes({ doc: 'Most bytes of an answer.', default: 16 * 1024 ** 2, min: 1_024 }),
  QUERY_MAX_READ_ROWS: int({ doc: 'Most rows a query may read.', default: 1_000_000_000, min: 1 }),
  QUERY_MAX_MEMORY_BYTES: bytes({
    doc: 'Most memory a query may take in the engine.',
    default: 1024 ** 3,
    min: 1024 ** 2
  }),
  QUERY_MAX_THREADS: int({ doc: 'Threads of the engine per query.', default: 2, min: 1, max: 64 }),
  QUERY_CONCURRENCY: int({ doc: 'Queries that run at once.', default: 8, min: 1, max: 256 }),
  QUERY_QUEUE: int({ doc: 'Queries that wait for a place; more are answered 503.', default: 32, min: 0, max: 10_000 }),
  QUERY_QUEUE_MS: ms({ doc: 'Longest wait for a place.', default: 2_000, min: 0, max: 60_000 })
}
