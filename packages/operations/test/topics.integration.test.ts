// Ensure and diff on a real broker: created, grown and configured as declared, refused where it cannot be reconciled.
import type { Admin, Kafka } from '@millrace/kafka'
import { eventually } from '@millrace/testkit/eventually'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffTopics, ensureTopics, listTopics, loadTopicDeclaration, planTopics } from '../src/topics.ts'

const open: { kafka?: Kafka; admin?: Admin } = {}
beforeAll(async () => {
  open.kafka = await openTestKafka()
  open.admin = await open.kafka.admin()
})
afterAll(async () => {
  await open.kafka?.[Symbol.asyncDispose]()
})
const admin = (): Admin => {
  if (open.admin === undefined) throw new Error('Kafka did not open')
  return open.admin
}
const declaration = await loadTopicDeclaration()
const request = (project: string) => ({ admin: admin(), declaration, profile: 'local', projects: [project] }) as const
const ofProject = (project: string, names: readonly string[]) => names.filter((name) => name.endsWith(`.${project}`))

test('creates the topics of a project as declared, and a second time changes nothing', async () => {
  const project = uniqueProject()
  const ensured = await ensureTopics(request(project))
  const names = [`events.${project}`, `events.processed.${project}`, `events.dlq.${project}`]
  expect(ofProject(project, ensured.created)).toEqual(names)
  expect(await diffTopics(request(project))).toEqual([])
  const again = await ensureTopics(request(project))
  expect([again.created, again.grown, again.configured]).toEqual([[], [], []])
  const planned = planTopics(declaration, 'local', [project]).find(({ topic }) => topic === names[0])
  const listed = (await listTopics(admin())).filter(({ parameter }) => parameter === project)
  expect(listed.map(({ topic, family }) => [topic, family])).toEqual([
    [`events.dlq.${project}`, 'dlq'],
    [`events.${project}`, 'raw'],
    [`events.processed.${project}`, 'processed']
  ])
  expect(listed[1]).toMatchObject({ partitions: 4, replicationFactor: 1, config: planned?.config })
})

test('grows and configures a topic that differs', async () => {
  const project = uniqueProject()
  const topic = `events.${project}`
  await admin().createTopics([{ topic, partitions: 1, replicationFactor: 1, config: { 'retention.ms': '1000' } }])
  const kinds = (await diffTopics(request(project))).filter((one) => one.topic === topic).map(({ kind }) => kind)
  expect(new Set(kinds)).toEqual(new Set(['fewer-partitions', 'config']))
  const ensured = await ensureTopics(request(project))
  expect([ofProject(project, ensured.grown), ofProject(project, ensured.configured)]).toEqual([[topic], [topic]])
  await eventually('the broker shows it', async () => (await diffTopics(request(project))).length === 0)
})

test('refuses more partitions than declared and names both numbers', async () => {
  const project = uniqueProject()
  await admin().createTopics([{ topic: `events.dlq.${project}`, partitions: 3, replicationFactor: 1, config: {} }])
  await expect(ensureTopics(request(project))).rejects.toMatchObject({ code: 'PIPE_TOPIC_DRIFT' })
  await expect(ensureTopics(request(project))).rejects.toThrow(`events.dlq.${project}: partitions is 3, declared 2`)
  expect(ofProject(project, await admin().listTopics())).toEqual([`events.dlq.${project}`])
})
