// `millrace projects`: projects with their topics, first keys and settings.
import { projectSettingFields } from '@millrace/contracts'
import type { EventRate } from '@millrace/contracts'
import { createProject, listProjects } from '@millrace/operations/projects'
import type { CreatedProject, ListedProject } from '@millrace/operations/projects'
import { ensureTopics } from '@millrace/operations/topics'
import { setProject, showProject } from '@millrace/operations/project-settings'
import type { ShownProject } from '@millrace/operations/project-settings'
import type { Command } from 'commander'
import { openAdmin, openDatabase, topicDeclaration, topicProfile } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf, pepperOf } from '../identity.ts'
import { print, toTable, UsageError } from '../output.ts'
import { addCommand, addGroup } from './command.ts'

/** Adds `projects create|list|show|set`. */
export function addProjectsCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'projects', 'create and list projects, show and change their settings')

  addCommand(group, {
    usage: 'create <projectId>',
    description: 'create a project with its topics, a write key and a secret key; the keys are shown once',
    examples: ['npx millrace projects create shop', 'npx millrace projects create shop --name "Web shop" --json']
  })
    .option('--name <name>', 'name for people; the id when absent')
    .action(async (projectId: string, { json, dataDir, name }: CommonOptions & { name?: string }) => {
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const admin = await openAdmin(context, dataDir, stack)
      const declaration = await topicDeclaration(context, dataDir)
      const profile = topicProfile(context, dataDir)
      const created = await createProject(
        {
          postgres,
          pepper: await pepperOf(context, dataDir),
          actor: actorOf(),
          ensureTopics: (project) => ensureTopics({ admin, declaration, profile, projects: [project] })
        },
        { projectId, ...(name === undefined ? {} : { name }) }
      )
      print(terminal, json, created, renderCreated)
    })

  addCommand(group, {
    usage: 'list',
    description: 'all projects',
    examples: ['npx millrace projects list', 'npx millrace projects list --json']
  }).action(async ({ json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    const projects = await listProjects(await openDatabase(context, dataDir, stack))
    print(terminal, json, projects, () => renderProjects(projects, terminal.colour))
  })
  addSettingsCommands(group, context)
}

function addSettingsCommands(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'show <projectId>',
    description: 'a project and its settings, as services understand them',
    examples: ['npx millrace projects show shop', 'npx millrace projects show shop --json']
  }).action(async (projectId: string, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    const shown = await showProject(await openDatabase(context, dataDir, stack), projectId)
    print(terminal, json, shown, renderShown)
  })

  const names = Object.entries(projectSettingFields).map(([name, { doc }]) => `  ${name}=<${doc}>`)
  addCommand(group, {
    usage: 'set <projectId> <setting...>',
    description: 'change settings; an empty value is the default; services follow within a minute',
    examples: [
      'npx millrace projects set shop limits.project.eventsPerSecond=1000 limits.perUser.eventsPerSecond=5',
      'npx millrace projects set shop corsOrigins=https://shop.example,https://www.shop.example',
      'npx millrace projects set shop limits.project.eventsPerSecond='
    ]
  })
    .addHelpText('after', `\nSettings:\n${names.join('\n')}`)
    .action(async (projectId: string, changes: readonly string[], { json, dataDir }: CommonOptions) => {
      const parsed = changes.map(parseChange)
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      print(terminal, json, await setProject({ postgres, actor: actorOf() }, projectId, parsed), renderShown)
    })
}

function parseChange(text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`'${text}' is no change of a setting: write name=value (--help shows the settings)`)
  return [text.slice(0, at), text.slice(at + 1)]
}

function renderShown({ projectId, name, createdAt, logGeneration, settings, problems }: ShownProject): string {
  const rate = (limit: EventRate | undefined, none: string): string =>
    limit === undefined ? none : `${limit.eventsPerSecond} events per second, ${limit.burst} at once`
  const { project, perEventType, perUser } = settings.limits
  return [
    `project        ${projectId} (${name})`,
    `created        ${createdAt.toISOString()}`,
    `log generation ${logGeneration}`,
    `key template   ${settings.keyTemplate}`,
    `cors origins   ${settings.corsOrigins.length === 0 ? 'as the deployment says' : settings.corsOrigins.join(', ')}`,
    `limit          ${rate(project, 'as the deployment says')}`,
    `per event type ${rate(perEventType, 'none')}`,
    `per user       ${rate(perUser, 'none')}`,
    ...problems.map((problem) => `left out       ${problem}`)
  ].join('\n')
}

function renderCreated({ projectId, writeKey, secretKey }: CreatedProject): string {
  return [
    `project    ${projectId}`,
    `write key  ${writeKey}`,
    `secret key ${secretKey}`,
    'Keep the keys: they are not shown again.'
  ].join('\n')
}

function renderProjects(projects: readonly ListedProject[], colour: boolean): string {
  const rows = projects.map(({ projectId, name, createdAt }) => [projectId, name, createdAt.toISOString()])
  return toTable(['project', 'name', 'created'], rows, colour)
}
