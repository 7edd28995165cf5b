// Which events are meant: of one type, with filters. Pure.
import { readObject, readText } from './input.ts'
import type { Bind } from './bound.ts'
import { filtersSql, readFilters } from './filters.ts'
import type { Filter } from './filters.ts'

export interface Step {
  readonly eventType: string
  readonly filters: readonly Filter[]
}

/** Reads `{eventType, filters?}`. Throws WrongInput. */
export function readStep(value: unknown, pointer: string): Step {
  const { eventType, filters } = readObject(value, pointer, ['eventType', 'filters'])
  return {
    eventType: readText(eventType, `${pointer}/eventType`),
    filters: readFilters(filters, `${pointer}/filters`)
  }
}

/** The condition of an event of `step`. */
export function stepSql({ eventType, filters }: Step, bind: Bind): string {
  return [`eventType = ${bind(eventType, 'String')}`, ...filtersSql(filters, bind)].join(' AND ')
}

/** The condition of an event of the type of any of `steps`. */
export function ofTypes(steps: readonly Step[], bind: Bind): string {
  return `eventType IN ${bind([...new Set(steps.map(({ eventType }) => eventType))], 'Array(String)')}`
}
