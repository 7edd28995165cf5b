// What INFO of a Redis tells: lines of `name:value` under headings, https://redis.io/docs/latest/commands/info/.

/** The values of the reply of INFO by name, headings left out. A value may have colons of its own. */
export function parseRedisInfo(reply: unknown): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of String(reply).split(/\r?\n/)) {
    const at = line.indexOf(':')
    if (at > 0 && !line.startsWith('#')) fields.set(line.slice(0, at), line.slice(at + 1))
  }
  return fields
}
