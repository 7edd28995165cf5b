// Dashboards as Grafana provisions them, from a short description of each: rows of panels, three beside each other.

export type Unit = 's' | 'short' | 'bytes' | 'percentunit' | 'reqps' | 'eps' | 'µs' | 'none'

export interface Query {
  readonly expr: string
  /** `{{label}}` stands for a label. */
  readonly legend: string
}

export interface Panel {
  readonly title: string
  /** What a reader should think when the line moves. */
  readonly help: string
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** Default: lines over time. */
  readonly kind?: 'stat'
  /** Value from which on it is red. */
  readonly red?: number
}

export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[]
}

const datasource = { type: 'prometheus', uid: 'prometheus' }
const [width, height, perRow] = [8, 8, 3]

/** The JSON of a dashboard, with a line feed at its end. */
export function toGrafana({ uid, title, rows }: Dashboard): string {
  const panels: object[] = []
  let y = 0
  for (const row of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: place(0, y, 24, 1),
      panels: []
    })
    y += 1
    for (const [index, panel] of row.panels.entries()) {
      const gridPos = place((index % perRow) * width, y + Math.floor(index / perRow) * height, width, height)
      panels.push({ id: panels.length + 1, gridPos, ...toPanel(panel) })
    }
    y += Math.ceil(row.panels.length / perRow) * height
  }
  const dashboard = {
    uid,
    title,
    tags: ['millrace'],
    schemaVersion: 39,
    editable: false,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'utc',
    templating: { list: [] },
    annotations: { list: [] },
    panels
  }
  return `${JSON.stringify(dashboard, undefined, 2)}\n`
}

function place(x: number, y: number, w: number, h: number): object {
  return { x, y, w, h }
}

function toPanel({ title, help, unit, queries, kind, red }: Panel): object {
  const steps = [{ color: 'green', value: null }, ...(red === undefined ? [] : [{ color: 'red', value: red }])]
  return {
    type: kind ?? 'timeseries',
    title,
    description: help,
    datasource,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        thresholds: { mode: 'absolute', steps },
        custom:
          kind === 'stat'
            ? {}
            : { fillOpacity: 8, showPoints: 'never', thresholdsStyle: { mode: red === undefined ? 'off' : 'line' } }
      },
      overrides: []
    },
    options:
      kind === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'area' }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource,
      expr,
      legendFormat: legend
    }))
  }
}
