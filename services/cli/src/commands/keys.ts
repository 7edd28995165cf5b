// `millrace keys`: API keys of projects.
import type { ApiKeyKind } from '@millrace/contracts'
import { createKey, listKeys, revokeKey } from '@millrace/operations/keys'
import type { CreatedKey, ListedKey } from '@millrace/operations/keys'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { openDatabase } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf, pepperOf } from '../identity.ts'
import { print, toTable } from '../output.ts'
import { addCommand, addGroup } from './command.ts'

type CreateOptions = CommonOptions & { readonly kind: ApiKeyKind; readonly expires?: Date }

/** Adds `keys create|list|revoke`. */
export function addKeysCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'keys', 'create, list and revoke API keys')

  addCommand(group, {
    usage: 'create <projectId>',
    description: 'make a key; it works at once and is shown once',
    examples: ['npx millrace keys create shop', 'npx millrace keys create shop --kind secret --expires 2030-01-01']
  })
    .addOption(
      new Option('--kind <kind>', 'write: may only send; secret: may read, too')
        .choices(['write', 'secret'])
        .default('write')
    )
    .option('--expires <date>', 'ISO 8601 date or time after which it is refused', parseDate)
    .action(async (projectId: string, { json, dataDir, kind, expires }: CreateOptions) => {
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const admin = { postgres, pepper: await pepperOf(context, dataDir), actor: actorOf() }
      const request = { projectId, kind, ...(expires === undefined ? {} : { expiresAt: expires }) }
      print(terminal, json, await createKey(admin, request), renderCreated)
    })

  addCommand(group, {
    usage: 'list [projectId]',
    description: 'keys of a project, or of all; never the secrets',
    examples: ['npx millrace keys list', 'npx millrace keys list shop --json']
  }).action(async (projectId: string | undefined, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    const keys = await listKeys(await openDatabase(context, dataDir, stack), projectId)
    print(terminal, json, keys, () => renderKeys(keys, terminal.colour))
  })

  addCommand(group, {
    usage: 'revoke <keyId>',
    description: 'turn a key off for good; services refuse it within a minute',
    examples: ['npx millrace keys revoke 4fQ0aZ1x']
  }).action(async (keyId: string, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    await revokeKey({ postgres: await openDatabase(context, dataDir, stack), actor: actorOf() }, keyId)
    print(terminal, json, { keyId, revoked: true }, () => `key ${keyId} is revoked`)
  })
}

function parseDate(text: string): Date {
  const date = new Date(text)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError('an ISO 8601 date or time such as 2030-01-01.')
  }
  return date
}

function renderCreated({ keyId, projectId, kind, key }: CreatedKey): string {
  return [`${kind} key of ${projectId}, id ${keyId}`, key, 'Keep it: it is not shown again.'].join('\n')
}

function renderKeys(keys: readonly ListedKey[], colour: boolean): string {
  const rows = keys.map(({ keyId, projectId, kind, createdAt, expiresAt, revokedAt, lastUsedAt }) => [
    keyId,
    projectId,
    kind,
    ...[createdAt, expiresAt, revokedAt, lastUsedAt].map((date) => date?.toISOString())
  ])
  return toTable(['id', 'project', 'kind', 'created', 'expires', 'revoked', 'last used'], rows, colour)
}
