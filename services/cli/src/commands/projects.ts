// `millrace projects`: projects with their topics and first keys.
import { createProject, listProjects } from '@millrace/operations/projects'
import type { CreatedProject, ListedProject } from '@millrace/operations/projects'
import { ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import type { Command } from 'commander'
import { openAdmin, openDatabase, topicProfile } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf, pepperOf } from '../identity.ts'
import { print, toTable } from '../output.ts'
import { addCommand, addGroup } from './command.ts'

/** Adds `projects create|list`. */
export function addProjectsCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'projects', 'create and list projects')

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
      const declaration = await loadTopicDeclaration()
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
