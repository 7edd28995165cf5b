// The engine's configuration files: one user, and row filters that isolate projects on the raw tables. A real server
// has users and row policies instead (schemas/clickhouse); the query service behaves the same towards both.

/** Tables whose rows belong to a project; a query sees all of them only with an empty log_comment. */
const projectTables = ['events_raw', 'identity_links', 'first_seen', 'person_edges'] as const

/** Dictionaries hold rows of every project: read as tables they show nothing to a query. */
const dictionaries = ['identity_devices', 'identity_shared', 'identity_persons'] as const

/**
 * The users file. `log_comment = '<project>:<queryId>'` shows the rows of that project only; an empty one, which only
 * the pipeline's own services send, shows all.
 */
export function usersXml(): string {
  const isOurs = "getSetting('log_comment') = ''"
  const isOwn = `${isOurs} OR projectId = splitByChar(':', getSetting('log_comment'))[1]`
  const filters = [...projectTables.map((name) => [name, isOwn]), ...dictionaries.map((name) => [name, isOurs])]
  const tables = filters.map(([name, filter]) => `<${name}><filter>${filter}</filter></${name}>`).join('')
  return `<clickhouse>
  <profiles><default/></profiles>
  <users>
    <default>
      <password></password>
      <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
      <databases><app>${tables}</app></databases>
    </default>
  </users>
  <quotas><default/></quotas>
</clickhouse>
`
}

/** The server configuration that names the users file. */
export function serverXml(usersFile: string): string {
  return `<clickhouse><users_config>${usersFile}</users_config></clickhouse>\n`
}
