// How far a person came in an ordered funnel in which an event may meet several steps, as SQL: the events are gone through
// once. For each step the latest start of a chain that has reached it is kept; no other start lasts longer. Pure.
import { msOfEvent } from './bound.ts'
import type { Step } from './steps.ts'

/** Of a step that was not reached; so long ago that no window lasts from it. */
const never = 'toInt64(-1000000000000000)'

/**
 * The farthest step that each event counts for once leads to, of the events of a group that meet `conditions`, those of
 * `steps`. Events of one millisecond may be in any order.
 */
export function onceLevel(steps: readonly Step[], windowMs: number, conditions: readonly string[]): string {
  const count = steps.length
  const meets = conditions.map((condition, index) => `toUInt16(${condition}) * ${2 ** index}`).join(' + ')
  const sorted = `arraySort(arrayFilter(event -> event.2 != 0, groupArray((${msOfEvent}, toUInt16(${meets})))))`
  // As a variable it stands in the text once: filters may be long.
  const moments = `arrayMap(events -> arraySplit((event, gap) -> gap != 0, events, arrayDifference(events.1)), [${sorted}])[1]`
  // For each number of steps before the moment, how many there can be after it.
  const reaches = `if(length(same) = 1, ${reachesOfOne(count)}, ${reachesOfMany(steps)})`
  const begins = `arrayPushFront(arrayPopBack(starts), same.1[1])`
  const found = `arrayMax(arrayMap((start, reach) -> if(reach >= step AND same.1[1] - start <= ${windowMs}, start, ${never}), ${begins}, ${reaches}))`
  const next = `arrayMap((before, step) -> greatest(before, ${found}), starts, range(1, ${count + 1}))`
  const starts = `arrayFold((starts, same) -> ${next}, ${moments}, arrayWithConstant(${count}, ${never}))`
  return `arrayCount(start -> start > ${never}, ${starts})`
}

function reachesOfOne(count: number): string {
  return `arrayMap(before -> toUInt8(before + bitTest(same.2[1], before)), range(${count}))`
}

/**
 * Steps find an event each exactly if any set of them meets as many events as it has steps (Hall). The first set that does
 * not ends the way at the last of its steps. Events of different types never meet the same step, so sets of one do.
 */
function reachesOfMany(steps: readonly Step[]): string {
  const sets = `if(length(same) = 1, [], [${setsOf(steps).join(', ')}])`
  const lacking = `arrayFilter(some -> arrayCount(met -> bitAnd(met, some.1) != 0, same.2) < some.2, ${sets})`
  const ends = `arrayMap(some -> toUInt8(if(bitAnd(some.1, bitShiftLeft(1, before) - 1) = 0, some.3, ${steps.length})), ${lacking})`
  return `arrayMap(before -> arrayMin(arrayPushBack(${ends}, toUInt8(${steps.length}))), range(${steps.length}))`
}

/** Sets of steps of the same event type: bits, how many, the last one. */
function setsOf(steps: readonly Step[]): readonly string[] {
  const types = Map.groupBy(steps.keys(), (index) => steps[index]?.eventType)
  return [...types.values()].flatMap((indexes) =>
    Array.from({ length: 2 ** indexes.length - 1 }, (_, number) => {
      const chosen = indexes.filter((_step, place) => ((number + 1) >> place) % 2 === 1)
      return `(${chosen.reduce((bits, index) => bits + 2 ** index, 0)}, ${chosen.length}, ${chosen.at(-1)})`
    })
  )
}
