// `millrace migrate`: tables of PostgreSQL and ClickHouse as this version needs them. `millrace start` does it by itself;
// a deployment runs it once before its services.
import { clickhouseFields, postgresFields, url } from '@millrace/config'
import { createSilentLogger } from '@millrace/observability'
import { writePersonEdges } from '@millrace/operations/identity-closure'
import { migrate } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Command } from 'commander'
import { settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print } from '../output.ts'
import { addCommand } from './command.ts'

const fields = {
  ...clickhouseFields,
  DATABASE_DIRECT_URL: url({
    doc: 'PostgreSQL without a pooler between: migrations hold a lock of the session.',
    protocols: postgresFields.DATABASE_URL.type.split(' ').slice(1)
  })
}

/** Adds `migrate`. */
export function addMigrateCommand(program: Command, context: CliContext): void {
  addCommand(program, {
    usage: 'migrate',
    description: 'apply pending migrations of PostgreSQL and ClickHouse; several at once take turns',
    examples: ['npx millrace migrate', 'npx millrace migrate --json']
  }).action(async ({ json, dataDir }: CommonOptions) => {
    const { DATABASE_DIRECT_URL: databaseDirectUrl, CLICKHOUSE_URL } = settings(context, dataDir, fields)
    const log = createSilentLogger()
    const applied = await migrate({ databaseDirectUrl, clickhouseUrl: CLICKHOUSE_URL, log })
    await using stack = new AsyncDisposableStack()
    const options = { url: databaseDirectUrl, poolSize: 1, name: 'millrace-migrate', log }
    const postgres = stack.use(await openPostgres(options))
    const clickhouse = stack.use(
      await openClickhouse({ url: CLICKHOUSE_URL, applicationName: 'millrace-migrate', log })
    )
    // Merges made by hand are rows of PostgreSQL; a new warehouse needs them from the first question on.
    await writePersonEdges({ postgres, clickhouse })
    print(context.terminal, json, applied, ({ postgres: first, clickhouse: second }) => {
      const lines = [...first.map((name) => `postgres ${name}`), ...second.map((name) => `clickhouse ${name}`)]
      return lines.length === 0 ? 'nothing to do' : lines.map((line) => `applied ${line}`).join('\n')
    })
  })
}
