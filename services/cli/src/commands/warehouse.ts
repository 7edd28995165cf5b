// `millrace warehouse access`: users, limits and row policies of a ClickHouse server, after every migration.
import { randomBytes } from 'node:crypto'
import { clickhouseFields, secret } from '@millrace/config'
import { accessStatements } from '@millrace/operations/warehouse-access'
import { clickhouseTarget } from '@millrace/stores/clickhouse'
import type { Command } from 'commander'
import { openWarehouse } from '../connections.ts'
import { settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print } from '../output.ts'
import { addCommand, addGroup, several } from './command.ts'

interface AccessOptions extends CommonOptions {
  readonly reader: string
  readonly views: string
  readonly service: readonly string[]
  readonly print?: boolean
}

const fields = {
  ...clickhouseFields,
  CLICKHOUSE_READER_PASSWORD: secret({ doc: 'Password of the user of the query service.' })
}

/** Adds `warehouse access`. */
export function addWarehouseCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'warehouse', 'who may read what on a ClickHouse server')
  addCommand(group, {
    usage: 'access',
    description:
      'make the user of the query service, and row policies that keep projects apart; run it after migrations',
    examples: [
      'npx millrace warehouse access --print > access.sql',
      'CLICKHOUSE_READER_PASSWORD=... npx millrace warehouse access'
    ]
  })
    .option('--reader <user>', 'user of the query service', 'millrace_reader')
    .option('--views <user>', 'user whom views run as; nobody logs in as it', 'millrace_views')
    .option('--service <user>', 'a user who sees every row, besides that of CLICKHOUSE_URL; may be repeated', several, [
      'default'
    ])
    .option('--print', 'print the statements instead of running them')
    .action(async ({ json, dataDir, reader, views, service, print: isPrinted = false }: AccessOptions) => {
      const given = { ...context, env: { CLICKHOUSE_READER_PASSWORD: '<password>', ...context.env } }
      const { CLICKHOUSE_URL, CLICKHOUSE_READER_PASSWORD } = settings(isPrinted ? given : context, dataDir, fields)
      const { database, username } = clickhouseTarget(CLICKHOUSE_URL)
      const statements = accessStatements({
        database,
        services: [...new Set([username, ...service])],
        reader,
        readerPassword: CLICKHOUSE_READER_PASSWORD,
        views,
        viewsPassword: randomBytes(32).toString('base64url')
      })
      if (isPrinted) {
        print(terminal, json, { statements }, () => statements.map((each) => `${each};`).join('\n'))
        return
      }
      await using stack = new AsyncDisposableStack()
      const clickhouse = await openWarehouse(context, dataDir, stack)
      for (const statement of statements) await clickhouse.command(statement)
      print(
        terminal,
        json,
        { reader, views, statements: statements.length },
        () => `${reader} may read the project of each request, by views that run as ${views}.`
      )
    })
}
