// `millrace schemas`: what the properties of an event type have to look like.
import { readFile } from 'node:fs/promises'
import { parseSchemaText, schemaModes } from '@millrace/contracts'
import type { SchemaMode } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { checkSchema, listSchemas, pushSchema, setSchemaMode } from '@millrace/operations/schemas'
import type { ListedSchema, PushedSchema, SchemaCheck } from '@millrace/operations/schemas'
import type { Command } from 'commander'
import { openDatabase, openWarehouse } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf } from '../identity.ts'
import { UsageError, print, toTable } from '../output.ts'
import { addCommand, addGroup } from './command.ts'

type ProjectOption = CommonOptions & { readonly project: string }

const projectOption = ['--project <projectId>', 'the project', 'demo'] as const

/** Adds `schemas push|list|check|mode`. */
export function addSchemasCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'schemas', 'what the properties of an event type have to look like')

  addCommand(group, {
    usage: 'push <eventType> <file>',
    description: 'register a JSON Schema (2020-12) of the properties as the next version and put it in force',
    examples: [
      'npx millrace schemas push purchase purchase.schema.json --project shop',
      'npx millrace schemas push purchase purchase.schema.json --project shop --mode enforce'
    ]
  })
    .option(...projectOption)
    .option('--mode <mode>', `${schemaModes.join(', ')}; as before, or warn for a new type`)
    .action(async (eventType: string, file: string, options: ProjectOption & { readonly mode?: string }) => {
      const { json, dataDir, project: projectId } = options
      const mode = options.mode === undefined ? undefined : modeOf(options.mode)
      const schema = await readSchema(file)
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const pushed = await pushSchema({ postgres, actor: actorOf() }, { projectId, eventType }, schema, mode)
      print(terminal, json, pushed, renderPushed)
    })

  addCommand(group, {
    usage: 'list',
    description: 'the schema in force for each event type',
    examples: ['npx millrace schemas list', 'npx millrace schemas list --project shop --json']
  })
    .option('--project <projectId>', 'only this project')
    .action(async ({ json, dataDir, project }: CommonOptions & { readonly project?: string }) => {
      await using stack = new AsyncDisposableStack()
      const schemas = await listSchemas(await openDatabase(context, dataDir, stack), project)
      print(terminal, json, schemas, () => renderList(schemas, terminal.colour))
    })

  addCommand(group, {
    usage: 'check <eventType> <file>',
    description: 'how many of the newest stored events a schema would refuse; exit code 1 when any',
    examples: ['npx millrace schemas check purchase purchase.schema.json --project shop --last 100000']
  })
    .option(...projectOption)
    .option('--last <n>', 'stored events to look at', '10000')
    .action(async (eventType: string, file: string, options: ProjectOption & { readonly last: string }) => {
      const { json, dataDir, project: projectId } = options
      const last = Number(options.last)
      if (!Number.isInteger(last) || last < 1 || last > 1_000_000)
        throw new UsageError(`--last is a whole number from 1 to 1000000, not '${options.last}'`)
      const schema = await readSchema(file)
      await using stack = new AsyncDisposableStack()
      const check = await checkSchema(
        await openWarehouse(context, dataDir, stack),
        { projectId, eventType },
        schema,
        last
      )
      print(terminal, json, check, renderCheck)
      if (check.refused > 0)
        throw new AppError('PIPE_INVALID_INPUT', `${check.refused} of ${check.checked} stored events would be refused`)
    })

  addCommand(group, {
    usage: 'mode <eventType> <mode>',
    description: 'how strictly the schema of a type is applied: enforce, warn or off',
    examples: ['npx millrace schemas mode purchase enforce --project shop']
  })
    .option(...projectOption)
    .action(async (eventType: string, mode: string, { json, dataDir, project: projectId }: ProjectOption) => {
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const set = await setSchemaMode({ postgres, actor: actorOf() }, { projectId, eventType }, modeOf(mode))
      print(terminal, json, set, renderPushed)
    })
}

function modeOf(text: string): SchemaMode {
  const mode = schemaModes.find((each) => each === text)
  if (mode === undefined) throw new UsageError(`'${text}' is no mode: one of ${schemaModes.join(', ')}`)
  return mode
}

async function readSchema(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  })
  return parseSchemaText(text)
}

function renderPushed({ projectId, eventType, version, mode, added }: PushedSchema): string {
  const what = added ? 'registered and in force' : 'in force'
  return `${eventType} of ${projectId}: version ${version} ${what}, mode ${mode}; gateways follow within a minute`
}

function renderList(schemas: readonly ListedSchema[], colour: boolean): string {
  const rows = schemas.map(({ projectId, eventType, version, versions, mode, changedAt }) => [
    projectId,
    eventType,
    `${version} of ${versions}`,
    mode,
    changedAt.toISOString()
  ])
  return toTable(['project', 'event type', 'version', 'mode', 'changed'], rows, colour)
}

function renderCheck({ projectId, eventType, checked, refused, examples }: SchemaCheck): string {
  const head = `${eventType} of ${projectId}: ${checked} stored events checked, ${refused} would be refused`
  return [
    head,
    ...examples.map(({ eventId, pointer, expected }) => `  ${eventId}  ${pointer} is expected ${expected}`)
  ].join('\n')
}
