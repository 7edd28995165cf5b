// Writes docs/reference.md, .env.example and the dashboards from the declarations: settings, series, error codes, topics, panels.
// `--check` writes nothing and fails when what is on disk differs, so the reference cannot lie.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { errorCatalog } from '@millrace/kernel'
import type { Field, Spec } from '@millrace/config'
import type { MetricSpec } from '@millrace/observability'
import { dashboards } from './monitoring/dashboards.ts'
import { toGrafana } from './monitoring/grafana.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A Markdown table; cells are escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** The default of a field as it would stand in an environment file; empty for a required one. */
export function defaultText(field: Field<unknown>): string {
  const value = field.default
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'number') return String(value)
  if (field.type.startsWith('ms'))
    return withUnit(value, ['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1_000])
  return field.type.startsWith('bytes')
    ? withUnit(value, ['GiB', 1024 ** 3], ['MiB', 1024 ** 2], ['KiB', 1024])
    : String(value)
}

/** `value` in the largest unit that divides it, as the fields read it back. */
function withUnit(value: number, ...units: readonly (readonly [unit: string, factor: number])[]): string {
  const fitting = units.find(([, factor]) => value > 0 && value % factor === 0)
  return fitting === undefined ? String(value) : `${value / fitting[1]}${fitting[0]}`
}

/** `services/<name>/src/<file>` and `packages/<name>/src/<file>` modules that exist, by room name. */
function modules(parent: string, file: string): { name: string; path: string }[] {
  return readdirSync(join(root, parent))
    .sort()
    .map((name) => ({ name, path: join(root, parent, name, 'src', file) }))
    .filter(({ path }) => existsSync(path))
}

async function exportsOf(path: string, suffix: string): Promise<[string, unknown][]> {
  const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  return Object.entries(module).filter(([name]) => name.endsWith(suffix))
}

async function configSection(): Promise<{ text: string; specs: [string, Spec][] }> {
  const specs: [string, Spec][] = []
  for (const { name, path } of modules('services', 'config.ts')) {
    // By house rule a config.ts exports one object whose name ends in Spec, made of fields.
    for (const [, spec] of await exportsOf(path, 'Spec')) specs.push([name, spec as Spec])
  }
  const parts = specs.map(([name, spec]) => {
    const rows = Object.entries(spec).map(([variable, field]) => [
      `\`${variable}\``,
      field.type,
      field.default === undefined ? 'required' : field.secret ? '' : `\`${defaultText(field)}\``,
      field.doc
    ])
    return `### ${name}\n\n${table(['Variable', 'Type', 'Default', 'Meaning'], rows)}`
  })
  return {
    text: `## Settings\n\nEnvironment only; a service lists every wrong setting at once and exits 1.\n\n${parts.join('\n\n')}`,
    specs
  }
}

/** Every series by name. */
export async function declaredMetrics(): Promise<ReadonlyMap<string, MetricSpec>> {
  const declared = new Map<string, MetricSpec>()
  for (const { path } of [...modules('packages', 'metrics.ts'), ...modules('services', 'metrics.ts')]) {
    for (const [, specs] of await exportsOf(path, 'Metrics')) {
      if (typeof specs !== 'object') continue
      // By house rule an export named *Metrics of a metrics.ts is a record of series declarations.
      for (const spec of Object.values(specs as Record<string, MetricSpec>)) declared.set(spec.name, spec)
    }
  }
  return declared
}

async function metricsSection(): Promise<string> {
  const declared = [...(await declaredMetrics()).values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const rows = declared.map(({ name, kind, labels, help }) => [`\`${name}\``, kind, labels.join(', '), help])
  return `## Metrics\n\n${table(['Series', 'Kind', 'Labels', 'Meaning'], rows)}`
}

function dashboardFiles(): Record<string, string> {
  const files = Object.entries(dashboards).map(([name, dashboard]) => [
    `infra/grafana/dashboards/${name}.json`,
    toGrafana(dashboard)
  ])
  return Object.fromEntries(files) as Record<string, string>
}

function errorsSection(): string {
  const rows = Object.entries(errorCatalog).map(([code, { class: kind, doc }]) => [`\`${code}\``, kind, doc])
  return `## Errors\n\ntransient = waiting helps; poison = this input can never succeed; fatal = a person must act.\n\n${table(['Code', 'Class', 'Meaning'], rows)}`
}

function envExample(specs: readonly [string, Spec][]): string {
  const seen = new Map<string, { field: Field<unknown>; services: string[] }>()
  for (const [name, spec] of specs) {
    for (const [variable, field] of Object.entries(spec)) {
      const entry = seen.get(variable) ?? { field, services: [] }
      entry.services.push(name)
      seen.set(variable, entry)
    }
  }
  const lines = [...seen].map(([variable, { field, services }]) => {
    const value = field.secret ? '' : variable === 'PORT' ? '' : defaultText(field)
    const assignment = field.default === undefined ? `${variable}=` : `# ${variable}=${value}`
    return `# ${field.doc} (${field.type}; ${services.join(', ')})\n${assignment}`
  })
  return `# Generated by \`npm run docs\` from the declarations. Required settings are left empty.\n\n${lines.join('\n\n')}\n`
}

async function topicsSection(): Promise<string> {
  const declared = readFileSync(join(root, 'topics.yaml'), 'utf8').trimEnd()
  return `## Topics\n\nDeclared in \`topics.yaml\`:\n\n\`\`\`yaml\n${declared}\n\`\`\``
}

/** File name to content, for everything that is generated. */
export async function generate(): Promise<Record<string, string>> {
  const { text, specs } = await configSection()
  const sections = [text, await metricsSection(), errorsSection(), await topicsSection()]
  const reference = `# Reference\n\nGenerated by \`npm run docs\` from the declarations; do not edit.\n\n${sections.join('\n\n')}\n`
  return { 'docs/reference.md': reference, '.env.example': envExample(specs), ...dashboardFiles() }
}

if (import.meta.main) {
  const stale: string[] = []
  for (const [file, content] of Object.entries(await generate())) {
    const path = join(root, file)
    if (existsSync(path) && readFileSync(path, 'utf8') === content) continue
    if (process.argv.includes('--check')) stale.push(file)
    else writeFileSync(path, content)
  }
  for (const file of stale) console.error(`${file} differs from the declarations; run \`npm run docs\` and commit it`)
  process.exitCode = stale.length === 0 ? 0 : 1
}
