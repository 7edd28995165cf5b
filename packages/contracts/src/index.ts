export { digestSecret, generateApiKey, parseApiKey, redactApiKeys, sameDigest } from './api-key.ts'
export type { ApiKeyKind, ParsedApiKey } from './api-key.ts'
export { countryCode } from './country.ts'
export { eventColumns, personColumns } from './columns.ts'
export type { EventColumn, EventRow } from './columns.ts'
export { ENRICH_VERSION, createEnrich, dateEvent, enrich, rowVersion } from './enrich.ts'
export type { Enrich, Enriched, RawRecord } from './enrich.ts'
export { checkEvent, decodeEvent, defaultEventLimits, eventSchema, gatewayFields, propertyLimits } from './event.ts'
export type { ClientEvent, EventContext, EventDecision, EventLimits, EventRefusal } from './event.ts'
export { resolveEventTime, uuidV7Time } from './event-time.ts'
export type { EventTime, TimedEvent } from './event-time.ts'
export { attribute, compareLinks, createIdentityFacts, maxIdsPerPerson, maxUsersPerDevice } from './identity.ts'
export type { Attribution, AttributionReason, IdentityFacts, IdentityLink, IdentitySubject } from './identity.ts'
export { anonymousPrefix, compareIds, namesDevice, namesUser, refusedIds } from './identity-ids.ts'
export { createPersons } from './identity-persons.ts'
export type { Person, PersonEdge, Persons } from './identity-persons.ts'
export { parseIsoTime } from './iso-time.ts'
export { decodeLiveGrant, encodeLiveGrant, liveKinds } from './live-grant.ts'
export type { LiveGrant, LiveKind } from './live-grant.ts'
export { parseLiveRequest } from './live-request.ts'
export type {
  EventSubscription,
  LiveRequest,
  LiveSubscription,
  MetricSubscription,
  ParsedLiveRequest,
  SessionSubscription
} from './live-request.ts'
export { textMember, toStorableJson } from './json-text.ts'
export { isOriginAllowed } from './origin.ts'
export { readProcessedEvent, replayHeader } from './processed-event.ts'
export type { ProcessedEvent } from './processed-event.ts'
export { createDropMatcher, dropKinds, dropRuleProblem, maxDropRules, parseDropRules } from './drop-rules.ts'
export type { DropKind, DropRule } from './drop-rules.ts'
export { problemCatalog, problemContentType, problemSchema, toProblem } from './problem.ts'
export type { Problem, ProblemCode } from './problem.ts'
export {
  changeProjectSettings,
  defaultProjectSettings,
  parseProjectSettings,
  projectSettingFields
} from './project-settings.ts'
export type {
  EventRate,
  KeyTemplate,
  ProjectContext,
  ProjectLimits,
  ProjectSettingName,
  ProjectSettings
} from './project-settings.ts'
export { spliceRawEvent } from './raw-event.ts'
export type { RawFields } from './raw-event.ts'
export { quoteJson } from './quote-json.ts'
export { toRowLine } from './row-line.ts'
export type { NotAnEvent, StoredEvent } from './stored-event.ts'
export { trafficSources } from './traffic-source.ts'
export type { TrafficSource } from './traffic-source.ts'
export {
  dlqTopic,
  isProjectId,
  isRawTopic,
  letterTopic,
  metricsTopic,
  parseTopic,
  processedTopic,
  projectOfTopic,
  rawTopic,
  rawTopicsOf,
  redriveTopic,
  reservedProjectIds,
  sessionsTopic,
  topicFamilies,
  topicPatterns
} from './topic-names.ts'
export type { ParsedTopic, TopicFamily } from './topic-names.ts'
export { parseTopicDeclaration, topicProfiles, topicSettings, withGrown } from './topics.ts'
export type {
  EnsureRule,
  FamilyDeclaration,
  ProfileDeclaration,
  TopicDeclaration,
  TopicProfile,
  TopicSettings
} from './topics.ts'
export { apiKeyOf, keyProblems } from './key-headers.ts'
export type { KeyDecision, KeyHeaders } from './key-headers.ts'
export { compileEventSchema, parseSchemaText, schemaModes } from './event-schema.ts'
export type { EventSchema, SchemaMismatch, SchemaMode } from './event-schema.ts'
export { compareRevisions, decodeMetric, decodeSession, encodeMetric, encodeSession } from './emitted.ts'
export type { EmittedRecord, MetricKind, MetricMessage, Revision, SessionMessage } from './emitted.ts'
