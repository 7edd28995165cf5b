// Who may read what on a real ClickHouse server: users, limits and row policies as statements. The engine of the local stack
// has one user and row filters instead (infra/local/src/clickhouse-engine/users-config.ts); both go by the same rule.
//
// A row is seen by the project that stands in `log_comment`, which the query service sends with every request, and by the
// services that keep the warehouse. Views run as an own user who may not log in: inside of one the policies of that user hold,
// not those of who asks. A migration that makes a view anew gives it to the migrating user until `access` runs again;
// meanwhile the rule still goes by the name of who asks.
import { AppError } from '@millrace/kernel'

/** What something in the warehouse is to a reader. */
export type WarehouseKind =
  /** A table of rows of projects: a policy filters it. */
  | 'project'
  /** A table without rows of projects; no reader may name it. */
  | 'shared'
  /** A view that readers may name. */
  | 'readable'
  /** A view that only other views and the services use. */
  | 'inner'
  /** Holds rows of every project and cannot be filtered: no reader may name it. */
  | 'dictionary'

/** Everything that the migrations make. A test fails for what is missing here. */
export const warehouseKinds: Readonly<Record<string, WarehouseKind>> = {
  events_raw: 'project',
  identity_links: 'project',
  first_seen: 'project',
  person_edges: 'project',
  warehouse_settings: 'shared',
  events: 'readable',
  events_fresh: 'readable',
  sessions: 'readable',
  identity_crowds: 'inner',
  identity_intervals: 'inner',
  identity_pairs: 'inner',
  identity_single_users: 'inner',
  identity_several_users: 'inner',
  identity_merged_users: 'inner',
  identity_event_subjects: 'inner',
  identity_devices: 'dictionary',
  identity_shared: 'dictionary',
  identity_persons: 'dictionary'
}

export interface WarehouseAccess {
  readonly database: string
  /** Users who keep the warehouse, and the one whom dictionaries load as: they see every row. */
  readonly services: readonly string[]
  /** The user of the query service. */
  readonly reader: string
  readonly readerPassword: string
  /** Whom the views run as; made with a password that nobody knows. */
  readonly views: string
  readonly viewsPassword: string
}

/** What the reader may take at most, whatever a request says. */
const limits = [
  'max_execution_time = 10 MIN 1 MAX 300',
  'max_memory_usage = 1073741824 MIN 1048576 MAX 17179869184',
  'max_threads = 2 MIN 1 MAX 64',
  'max_result_rows = 10000 MIN 1',
  'max_rows_to_read = 1000000000 MIN 1',
  'max_concurrent_queries_for_user = 128',
  'allow_ddl = 0 CONST',
  'allow_introspection_functions = 0 CONST'
]

/** The condition under which a row is seen; `names` see all. `currentUser()` is who asked, inside of views too. */
export function rowCondition(names: readonly string[]): string {
  const isService = `currentUser() IN (${names.map(literal).join(', ')})`
  return `projectId = splitByChar(':', getSetting('log_comment'))[1] OR ${isService}`
}

/**
 * The statements in order; each may be repeated. Run them after every migration, as a user who may manage access. Throws
 * PIPE_INVALID_INPUT for a name or password that cannot be written down.
 */
export function accessStatements(access: WarehouseAccess): readonly string[] {
  const { services, reader, readerPassword, views, viewsPassword } = access
  if (services.includes(reader) || services.includes(views) || reader === views) {
    throw new AppError(
      'PIPE_INVALID_INPUT',
      'the reader, the user of the views and the services must be different users'
    )
  }
  const database = name(access.database)
  const of = (kind: WarehouseKind): readonly string[] =>
    Object.keys(warehouseKinds).flatMap((each) => (warehouseKinds[each] === kind ? [`${database}.${name(each)}`] : []))
  const condition = rowCondition(services)
  return [
    `CREATE USER IF NOT EXISTS ${name(views)} IDENTIFIED BY ${literal(viewsPassword)} HOST NONE`,
    `CREATE USER IF NOT EXISTS ${name(reader)} IDENTIFIED BY ${literal(readerPassword)}`,
    `ALTER USER ${name(reader)} IDENTIFIED BY ${literal(readerPassword)} DEFAULT DATABASE ${database}`,
    // Nothing that was ever granted by hand stays: no other table, no source such as url or s3, no system table.
    `REVOKE ALL ON *.* FROM ${name(views)}, ${name(reader)}`,
    ...of('project').flatMap((table) => [
      // Restrictive: no further policy that somebody adds can show more.
      `CREATE ROW POLICY OR REPLACE millrace_project ON ${table} USING ${condition} AS PERMISSIVE TO ALL`,
      `CREATE ROW POLICY OR REPLACE millrace_project_only ON ${table} USING ${condition} AS RESTRICTIVE TO ALL`
    ]),
    `GRANT SELECT ON ${database}.* TO ${name(views)}`,
    `GRANT dictGet ON ${database}.* TO ${name(views)}`,
    ...of('readable').flatMap((view) => [
      `ALTER TABLE ${view} MODIFY SQL SECURITY DEFINER DEFINER = ${name(views)}`,
      `GRANT SELECT ON ${view} TO ${name(reader)}`
    ]),
    `CREATE SETTINGS PROFILE OR REPLACE millrace_reader SETTINGS ${limits.join(', ')} TO ${name(reader)}`,
    `CREATE QUOTA OR REPLACE millrace_reader FOR INTERVAL 1 minute MAX queries = 12000, execution_time = 1200 TO ${name(reader)}`
  ]
}

function name(text: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(text)) return `\`${text}\``
  throw new AppError('PIPE_INVALID_INPUT', `'${text}' is no name of a user or a database ([A-Za-z0-9_])`)
}

function literal(text: string): string {
  // A backslash or a quote would need an escape that formats differ in; generated passwords have neither.
  if (/^[^'\\\n]{1,200}$/.test(text)) return `'${text}'`
  throw new AppError('PIPE_INVALID_INPUT', 'a password holds a quote, a backslash or a line break, or is empty')
}
