export { bool, bytes, int, list, ms, oneOf, secret, str, url, urls } from './fields.ts'
export type { ConfigOf, Field, Spec } from './fields.ts'
export { load } from './load.ts'
export type { ConfigProblem, CrossRule } from './load.ts'
export {
  clickhouseFields,
  clickhouseReplicaFields,
  consumerFields,
  enrichFields,
  heartbeatRule,
  httpFields,
  kafkaFields,
  letterFields,
  liveStateFields,
  logFields,
  objectStoreFields,
  postgresDirectFields,
  postgresFields,
  postgresReplicaFields,
  redisCacheFields,
  redisCacheReplicaFields,
  redisDedupFields,
  redisStateFields,
  replayFields,
  replicaLagRule
} from './shared.ts'
