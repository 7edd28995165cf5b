// Settings of the operations service.
import {
  clickhouseFields,
  enrichFields,
  heartbeatRule,
  httpFields,
  kafkaFields,
  list,
  logFields,
  oneOf,
  postgresDirectFields,
  postgresFields,
  redisStateFields,
  secret,
  str
} from '@millrace/config'
import { topicProfiles } from '@millrace/contracts'
import { canaryFields } from './canary/fields.ts'
import { epochFields } from './epochs/fields.ts'
import { monitorFields } from './monitor/fields.ts'
import { reconcileFields } from './reconcile/fields.ts'
import { watchedStoreFields } from './stores/fields.ts'

export const opsSpec = {
  ...logFields,
  ...httpFields(4004),
  ...kafkaFields,
  ...enrichFields,
  ...postgresFields,
  ...postgresDirectFields,
  ...redisStateFields,
  ...watchedStoreFields,
  ...clickhouseFields,
  ADMIN_TOKEN: secret({ doc: 'Token of the administration endpoints, as `Authorization: Bearer`.' }),
  API_KEY_PEPPER: secret({ doc: 'Secret that API keys are hashed with; the same for every service and the CLI.' }),
  COUNTING_GROUPS: list({
    doc: 'Consumer groups whose sink keeps its own positions: a redriven letter of one has its day counted again.',
    default: ['aggregate']
  }),
  LOADER_GROUP: str({
    doc: 'Consumer group of the loaders: the days of its redriven letters are counted again.',
    default: 'load'
  }),
  RECORDER_GROUP: str({
    doc: 'Consumer group of the recorders: it gets the redriven letters of what was no event, as the loaders do.',
    default: 'record'
  }),
  TOPIC_PROFILE: oneOf({
    doc: 'Sizes of topics.yaml to use for new projects.',
    default: 'local',
    values: topicProfiles
  }),
  ...monitorFields,
  ...reconcileFields,
  ...epochFields,
  ...canaryFields
}

/** Rules across settings. */
export const opsRules = [heartbeatRule]
