import { expect, it } from 'vitest'
import { letterStateOf, parseRedrivenFrom, writeRedrivenFrom } from './letter-states.ts'
import type { LetterDecision, Redriven } from './letter-states.ts'

const place = (offset: bigint, partition = 0) => ({ partition, offset })
const latest = place(10n)
const made = (fate: Redriven['fate'], from = latest, group = 'process'): Redriven => ({ group, from, fate })

it.each<[string, readonly Redriven[], LetterDecision | undefined, string]>([
  ['nothing was done about it', [], undefined, 'open'],
  ['it waits in the redrive topic', [made('waiting')], undefined, 'redriven'],
  ['the group passed it', [made('passed')], undefined, 'closed'],
  ['it was redriven twice and one of them passed', [made('waiting'), made('passed')], undefined, 'closed'],
  ['an older copy of it passed and it failed again', [made('passed', place(9n))], undefined, 'open'],
  ['what was redriven lay in another partition', [made('passed', place(11n, 1))], undefined, 'open'],
  [
    'one of several groups has not come to it',
    [made('waiting', latest, 'load'), made('passed')],
    undefined,
    'redriven'
  ],
  ['all of several groups passed it', [made('passed', latest, 'load'), made('passed')], undefined, 'closed'],
  ['a redrive was killed before it came to its own group', [made('passed', latest, 'load')], undefined, 'open'],
  ['it was dropped', [], { kind: 'drop', at: latest }, 'dropped'],
  ['it was dropped and failed again', [], { kind: 'drop', at: place(9n) }, 'open'],
  ['its day is counted again', [], { kind: 'recount', at: latest }, 'closed'],
  ['it passed although it was dropped meanwhile', [made('passed')], { kind: 'drop', at: latest }, 'closed']
])('%s', (_when, redriven, decision, state) => {
  expect(letterStateOf({ group: 'process', at: latest }, redriven, decision)).toBe(state)
})

it('reads back where a letter was redriven from', () => {
  expect(parseRedrivenFrom(writeRedrivenFrom(place(2n ** 62n, 7)))).toEqual(place(2n ** 62n, 7))
  expect([undefined, '', '1', '1:-2', 'a:1', '1:1:1'].map(parseRedrivenFrom)).toEqual(Array(6).fill(undefined))
})
