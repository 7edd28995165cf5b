export { bool, bytes, int, list, ms, oneOf, secret, str, url } from './fields.ts'
export type { ConfigOf, Field, Spec } from './fields.ts'
export { load } from './load.ts'
export type { ConfigProblem, CrossRule } from './load.ts'
export {
  clickhouseFields,
  consumerFields,
  enrichFields,
  heartbeatRule,
  httpFields,
  kafkaFields,
  liveStateFields,
  logFields,
  objectStoreFields,
  postgresFields,
  redisCacheFields,
  redisDedupFields,
  redisStateFields,
  replayFields
} from './shared.ts'
