// What services declare, for the tests of the files that deploy them.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Spec } from '@millrace/config'
import { services } from '@millrace/local-stack/services'

export const root = join(import.meta.dirname, '../..')

/** Folders of services/ that are started by services.ts; the tool is none. */
export const serviceNames: readonly string[] = readdirSync(join(root, 'services')).filter((name) => name !== 'cli')

/** Settings that every process may have beside its own: those of Node and of the C library. */
export const engineSettings = ['NODE_OPTIONS', 'MALLOC_ARENA_MAX', 'MALLOC_MMAP_THRESHOLD_']

/** The declared settings of a service, by name. */
export async function specOf(service: string): Promise<Spec> {
  const path = join(root, 'services', service, 'src/config.ts')
  const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  // By house rule a config.ts exports one object whose name ends in Spec, made of fields.
  return Object.entries(module).find(([name]) => name.endsWith('Spec'))?.[1] as Spec
}

/** What services.ts says of one service. */
export function listed(service: string) {
  const found = services.find(({ name }) => name === service)
  if (found === undefined) throw new Error(`${service} is not in infra/local/src/services.ts`)
  return found
}

/** Everything that is wrong with the settings that `service` is given: names it does not know, required ones it lacks, values it refuses. */
export async function settingsProblems(
  service: string,
  given: Readonly<Record<string, string | undefined>>
): Promise<readonly string[]> {
  const spec = await specOf(service)
  const { env = {}, youngMiB = 32 } = listed(service)
  const problems: string[] = []
  for (const [name, value] of Object.entries(given)) {
    const field = spec[name]
    if (field === undefined) {
      if (!engineSettings.includes(name)) problems.push(`${name} is no setting of ${service}`)
      continue
    }
    const parsed = value === undefined ? undefined : field.parse(value)
    if (parsed !== undefined && !parsed.ok) problems.push(`${name}=${value}: ${parsed.problem}`)
  }
  for (const [name, field] of Object.entries(spec)) {
    if (field.default === undefined && !(name in given)) problems.push(`${name} is required`)
  }
  for (const [name, value] of Object.entries(env)) {
    if (given[name] !== value) problems.push(`${name} is ${given[name]}, ${value} in services.ts`)
  }
  const young = `--max-semi-space-size=${youngMiB}`
  if (given['NODE_OPTIONS']?.includes(young) !== true) problems.push(`NODE_OPTIONS lacks ${young}, as in services.ts`)
  return problems
}

/** DRAIN_DELAY_MS + STOP_TIMEOUT_MS of a service with these settings: it has ended by then. */
export async function stopMs(service: string, given: Readonly<Record<string, string | undefined>>): Promise<number> {
  const spec = await specOf(service)
  const valueOf = (name: string): number => {
    const parsed = given[name] === undefined ? undefined : spec[name]?.parse(given[name])
    return Number(parsed?.ok === true ? parsed.value : spec[name]?.default)
  }
  return valueOf('DRAIN_DELAY_MS') + valueOf('STOP_TIMEOUT_MS')
}
