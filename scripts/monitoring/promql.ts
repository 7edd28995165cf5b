// Which series and labels an expression of PromQL uses. No parser: what remains of an expression without its texts,
// ranges and grouping is names, and a name that is not called is a series.

/** A series in an expression, with the labels that its selector names. */
export interface UsedSeries {
  readonly name: string
  readonly labels: readonly string[]
}

export interface UsedByExpression {
  readonly series: readonly UsedSeries[]
  /** Labels of `by`, `without`, `on`, `ignoring` and `group_left`. */
  readonly grouped: readonly string[]
}

const words = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan', 'by', 'without', 'on', 'ignoring'])
const clause = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g

/** What `expression` uses. */
export function usedBy(expression: string): UsedByExpression {
  const grouped: string[] = []
  const plain = expression
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(clause, (_all, names: string) => {
      grouped.push(...names.split(',').map((name) => name.trim()))
      return ' '
    })
  const series: UsedSeries[] = []
  for (const match of plain.matchAll(/(?<![\w.])([A-Za-z_:][A-Za-z0-9_:]*)\s*(\{[^}]*\})?(\s*\()?/g)) {
    const [, name = '', selector = '', call] = match
    if (call !== undefined || words.has(name.toLowerCase())) continue
    const labels = [...selector.matchAll(/([A-Za-z_][A-Za-z0-9_]*)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label)
    series.push({ name, labels })
  }
  return { series, grouped: grouped.filter((name) => name !== '') }
}
