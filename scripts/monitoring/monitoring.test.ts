import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { declaredMetrics } from '../gen-docs.ts'
import { dashboards } from './dashboards.ts'
import { usedBy } from './promql.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const rulesFolder = join(root, 'infra/prometheus/rules')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook', string>>
}
const rules = readdirSync(rulesFolder).flatMap((file) => {
  const { groups } = parse(readFileSync(join(rulesFolder, file), 'utf8')) as { groups: readonly { rules: Rule[] }[] }
  return groups.flatMap((group) => group.rules)
})
const queries = Object.entries(dashboards).flatMap(([file, { rows }]) =>
  rows.flatMap(({ panels }) =>
    panels.flatMap((panel) => panel.queries.map(({ expr }) => [`${file}: ${panel.title}`, expr] as const))
  )
)

/** What Prometheus itself adds to every series, and its own series. */
const scraped = ['job', 'instance']
const own = new Map([['up', scraped]])

/** What is wrong with the series of `expression`: names that nobody declares, labels that they do not have. */
async function problemsOf(expression: string): Promise<readonly string[]> {
  const declared = await declaredMetrics()
  const used = usedBy(expression.replaceAll('$__rate_interval', '5m'))
  const labelsOf = (name: string): readonly string[] | undefined => {
    const plain = declared.get(name)
    if (plain !== undefined) return plain.kind === 'histogram' ? undefined : [...plain.labels, ...scraped]
    const part = /^(.+)_(bucket|sum|count)$/.exec(name)
    const histogram = declared.get(part?.[1] ?? '')
    if (histogram?.kind === 'histogram')
      return [...histogram.labels, ...scraped, ...(part?.[2] === 'bucket' ? ['le'] : [])]
    return own.get(name)
  }
  const known = used.series.flatMap(({ name }) => labelsOf(name) ?? [])
  return [
    ...used.series.flatMap(({ name, labels }) => {
      const has = labelsOf(name)
      if (has === undefined) return [`nobody declares ${name}`]
      return labels.filter((label) => !has.includes(label)).map((label) => `${name} has no label ${label}`)
    }),
    ...used.grouped.filter((label) => !known.includes(label)).map((label) => `no series here has a label ${label}`)
  ]
}

describe('the series of alerts and dashboards', () => {
  test.each([...rules.map(({ alert, expr }) => [alert, expr] as const), ...queries])(
    '%s: declared',
    async (_name, expr) => {
      expect(await problemsOf(expr)).toEqual([])
    }
  )

  test('would be found when nobody declares them, or without such a label', async () => {
    expect(await problemsOf('sum by (group) (analytics_lag_recods) > 0')).toEqual([
      'nobody declares analytics_lag_recods',
      'no series here has a label group'
    ])
    expect(await problemsOf('max by (project) (analytics_lag_records{topic="x"})')).toEqual([
      'analytics_lag_records has no label topic',
      'no series here has a label project'
    ])
    expect(await problemsOf('rate(analytics_api_latency_seconds[5m])')).toEqual([
      'nobody declares analytics_api_latency_seconds'
    ])
  })
})

describe('the alerts', () => {
  const tests = readFileSync(join(root, 'infra/prometheus/tests/rules_test.yml'), 'utf8')
  const manual = readFileSync(join(root, 'docs/monitoring.md'), 'utf8')

  test.each(rules.map((rule) => [rule.alert, rule] as const))('%s is tested, and explained', (alert, rule) => {
    expect(tests).toContain(`alertname="${alert}"`)
    expect(rule.annotations.runbook).toBe(`docs/monitoring.md#${alert.toLowerCase()}`)
    expect(manual).toMatch(new RegExp(`^### ${alert}$`, 'm'))
    expect(['page', 'warn']).toContain(rule.labels.severity)
  })
})
