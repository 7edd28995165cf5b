// `millrace topics`: the declaration in topics.yaml against the cluster.
import { AppError } from '@millrace/kernel'
import { listProjects } from '@millrace/operations/projects'
import { describeDifference, diffTopics, ensureTopics, listTopics } from '@millrace/operations/topics'
import type { EnsuredTopics, ListedTopic, TopicDifference, TopicsRequest } from '@millrace/operations/topics'
import type { Command } from 'commander'
import { openAdmin, openDatabase, topicDeclaration, topicProfile } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print, toTable } from '../output.ts'
import { addCommand, addGroup } from './command.ts'
import { addTopicsGrow } from './topics-grow.ts'

type TopicsOptions = CommonOptions & { readonly project?: string }

const projectOption = ['--project <projectId>', 'only the topics of this project'] as const

/** Adds `topics list|ensure|diff|grow`. */
export function addTopicsCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'topics', 'list the topics and bring them in line with topics.yaml')

  addCommand(group, {
    usage: 'list',
    description: 'every topic of the pipeline',
    examples: ['npx millrace topics list', "npx millrace topics list --json | jq '.[].topic'"]
  }).action(async ({ json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    const topics = [...(await listTopics(await openAdmin(context, dataDir, stack)))]
    topics.sort((left, right) => (left.topic < right.topic ? -1 : 1))
    print(terminal, json, topics, () => renderTopics(topics, terminal.colour))
  })

  addCommand(group, {
    usage: 'ensure',
    description: 'create what is missing and reconcile settings; partitions only grow',
    examples: ['npx millrace topics ensure', 'TOPIC_PROFILE=production npx millrace topics ensure']
  })
    .option(...projectOption)
    .action(async ({ json, ...options }: TopicsOptions) => {
      await using stack = new AsyncDisposableStack()
      const ensured = await ensureTopics(await request(context, options, stack))
      print(terminal, json, ensured, renderEnsured)
    })

  addCommand(group, {
    usage: 'diff',
    description: 'what differs from topics.yaml; exit code 1 when anything does',
    examples: ['npx millrace topics diff', 'npx millrace topics diff --project shop --json']
  })
    .option(...projectOption)
    .action(async ({ json, ...options }: TopicsOptions) => {
      await using stack = new AsyncDisposableStack()
      const differences = await diffTopics(await request(context, options, stack))
      print(terminal, json, differences, renderDifferences)
      if (differences.length > 0) throw drift(differences)
    })
  addTopicsGrow(group, context)
}

function drift(differences: readonly TopicDifference[]): AppError {
  const blocking = differences.some((difference) => difference.blocking)
  const advice = blocking ? 'some cannot be reconciled: change topics.yaml' : 'run `npx millrace topics ensure`'
  return new AppError('PIPE_TOPIC_DRIFT', `${differences.length} difference(s) from topics.yaml; ${advice}`)
}

/** The topics that one project needs, or all projects in PostgreSQL. */
async function request(
  context: CliContext,
  { dataDir, project }: Omit<TopicsOptions, 'json'>,
  stack: AsyncDisposableStack
): Promise<TopicsRequest> {
  const admin = await openAdmin(context, dataDir, stack)
  const known = await listProjects(await openDatabase(context, dataDir, stack))
  const projects = known.map(({ projectId }) => projectId).filter((id) => project === undefined || id === project)
  if (project !== undefined && projects.length === 0) {
    throw new AppError('PIPE_NOT_FOUND', `there is no project '${project}'`)
  }
  return {
    admin,
    projects,
    declaration: await topicDeclaration(context, dataDir),
    profile: topicProfile(context, dataDir)
  }
}

function renderTopics(topics: readonly ListedTopic[], colour: boolean): string {
  const rows = topics.map(({ topic, family, partitions, replicationFactor, config }) => {
    const retentionHours = Number(config['retention.ms']) / 3_600_000
    const maxKiB = Number(config['max.message.bytes']) / 1024
    return [
      topic,
      family,
      partitions,
      replicationFactor,
      hours(retentionHours),
      Number.isFinite(maxKiB) ? `${maxKiB} KiB` : undefined
    ]
  })
  return toTable(['topic', 'family', 'partitions', 'replicas', 'retention', 'largest record'], rows, colour)
}

function hours(count: number): string | undefined {
  if (!Number.isFinite(count)) return undefined
  return count % 24 === 0 ? `${count / 24} d` : `${count} h`
}

function renderEnsured(ensured: EnsuredTopics): string {
  const lines = (['created', 'grown', 'configured'] as const).flatMap((what) =>
    ensured[what].map((topic) => `${what} ${topic}`)
  )
  return [...lines, `${ensured.unchanged.length} unchanged`].join('\n')
}

function renderDifferences(differences: readonly TopicDifference[]): string {
  return differences.length === 0 ? 'no difference' : differences.map(describeDifference).join('\n')
}
