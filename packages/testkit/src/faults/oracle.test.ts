// The oracle is worth something only if each broken promise turns it red: one planted violation per rule.
import { describe, expect, it } from 'vitest'
import type { LedgerEntry } from './ledger.ts'
import { judge } from './oracle.ts'
import type { Evidence, LetterFact, LogFact, SinkFacts } from './oracle.ts'

const entry = (eventId: string, over: Partial<LedgerEntry> = {}): LedgerEntry => ({
  eventId,
  kind: 'event',
  attempt: 1,
  sentNs: '1',
  tookMs: 1,
  end: 'answered',
  status: 202,
  code: 'accepted',
  bodyHash: 'h',
  ...over
})
const logged = (eventId: string | undefined, offset: number, over: Partial<LogFact> = {}): LogFact => ({
  partition: 0,
  offset: BigInt(offset),
  eventId,
  valueHash: `v${offset}`,
  unchecked: false,
  ...over
})
const letter = (offset: number, over: Partial<LetterFact> = {}): LetterFact => ({
  letterId: `process:t:0:${offset}`,
  group: 'process',
  partition: 0,
  offset: BigInt(offset),
  reason: 'parse',
  valueHash: `v${offset}`,
  ...over
})
const view = (...ids: string[]): SinkFacts => {
  const counts = new Map<string, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return { name: 'view', group: 'load', copies: 'once', ids: counts }
}

/** Two events stored, one refused, one piece of garbage with its letter. */
const sound: Evidence = {
  ledger: [entry('a'), entry('b'), entry('x', { kind: 'bad', status: 422, code: 'invalid_field' })],
  log: [logged('a', 0), logged('b', 1), logged(undefined, 2)],
  letters: [letter(2)],
  sinks: [view('a', 'b')]
}
const problems = (evidence: Partial<Evidence>, allowance?: Parameters<typeof judge>[1]): string[] =>
  judge({ ...sound, ...evidence }, allowance).violations.map(({ invariant, problem }) => `${invariant} ${problem}`)

describe('judge', () => {
  it('is green on a sound run and counts it', () => {
    const { violations, figures } = judge(sound)
    expect(violations).toEqual([])
    expect(figures).toEqual({
      attempts: 3,
      acked: 2,
      lost: 0,
      refused: 1,
      logged: 2,
      logCopies: 0,
      letters: 1,
      visibleCopies: 0,
      unknown: 0,
      unchecked: 0,
      unresolved: 0,
      unavailable: 0
    })
  })

  it.each([202, 409])('sees an event that was answered %d and is not in the log', (status) => {
    const ledger = [...sound.ledger, entry('lost', { status })]
    expect(problems({ ledger })).toEqual(['INV-1 acknowledged, not in the log'])
    expect(judge({ ...sound, ledger }).figures.lost).toBe(1)
  })

  it('sees a copy that nothing explains', () => {
    const log = [...sound.log, logged('a', 3)]
    expect(problems({ log })).toEqual(['INV-2 more copies in the log than anything explains'])
    expect(problems({ log }, { produceRetries: 1, lostMarks: false })).toEqual([])
  })

  it('lets a retry make copies of the events that were retried alone', () => {
    const log = [...sound.log, logged('a', 3)]
    const allowing = (...ids: string[]) => ({ produceRetries: 1, retried: new Set(ids), lostMarks: false })
    expect(problems({ log }, allowing('a'))).toEqual([])
    expect(problems({ log }, allowing('b'))).toHaveLength(1)
    expect(problems({ log: [...log, logged('a', 4)] }, allowing('a'))).toHaveLength(1)
  })

  it('lets an unknown outcome explain one copy, not two', () => {
    const ledger = [...sound.ledger, entry('a', { end: 'timeout', status: 0, code: '' }), entry('a')]
    expect(problems({ ledger, log: [...sound.log, logged('a', 3)] })).toEqual([])
    expect(problems({ ledger, log: [...sound.log, logged('a', 3), logged('a', 4)] })).toHaveLength(1)
  })

  it('lets a mark in the log explain a copy', () => {
    expect(problems({ log: [...sound.log, logged('a', 3, { unchecked: true })] })).toEqual([])
  })

  it('sees an acknowledged event that was accepted again', () => {
    const ledger = [...sound.ledger, entry('a', { kind: 'repeat' })]
    expect(problems({ ledger })).toEqual(['INV-2 accepted again after it was acknowledged'])
    expect(problems({ ledger }, { produceRetries: 0, lostMarks: true })).toEqual([])
    expect(problems({ ledger: [...sound.ledger, entry('a', { kind: 'repeat', status: 409 })] })).toEqual([])
    expect(problems({ ledger, log: [...sound.log, logged('a', 3, { unchecked: true })] })).toEqual([])
  })

  it('lets an event whose marks may be lost be there once for each acceptance, not more', () => {
    const ledger = [...sound.ledger, entry('a', { kind: 'repeat' })]
    const lostMarks = { produceRetries: 0, lostMarks: true }
    expect(problems({ ledger, log: [...sound.log, logged('a', 3)] }, lostMarks)).toEqual([])
    expect(problems({ ledger, log: [...sound.log, logged('a', 3), logged('a', 4)] }, lostMarks)).toHaveLength(1)
  })

  it('sees refused input in the log and in the sinks', () => {
    const log = [...sound.log, logged('x', 3)]
    expect(problems({ log, sinks: [view('a', 'b', 'x')] })).toEqual(['edge refused, but in the log'])
  })

  it('sees an event that nobody sent', () => {
    const log = [...sound.log, logged('ghost', 3)]
    expect(problems({ log, sinks: [view('a', 'b', 'ghost')] })).toEqual(['edge in the log, but never sent'])
  })

  it('sees bad input that was accepted', () => {
    const ledger = [...sound.ledger, entry('y', { kind: 'bad' })]
    const log = [...sound.log, logged('y', 3)]
    expect(problems({ ledger, log, sinks: [view('a', 'b', 'y')] })).toEqual(['edge bad input that was not refused'])
  })

  it('sees a client that never got a final answer', () => {
    const ledger = [...sound.ledger, entry('z', { status: 503, code: 'unavailable' })]
    expect(problems({ ledger })).toEqual(['progress no final answer'])
  })

  it('sees an event that a sink lacks, invents, or shows twice', () => {
    expect(problems({ sinks: [view('a')] })).toEqual(['INV-3 in the log, not in view'])
    expect(problems({ sinks: [view('a', 'b', 'c')] })).toEqual(['INV-3 in view, not in the log'])
    expect(problems({ sinks: [view('a', 'b', 'b')] })).toEqual(['INV-3 visible more than once in view'])
    expect(judge({ ...sound, sinks: [view('a', 'b', 'b')] }).figures.visibleCopies).toBe(1)
  })

  it('permits copies in a sink that is at least once', () => {
    expect(problems({ sinks: [{ ...view('a', 'b', 'b'), copies: 'atLeastOnce' }] })).toEqual([])
  })

  it("lets the sink's own letter excuse an absence, and no other group's", () => {
    const own = letter(1, { group: 'load', letterId: 'load:t:0:1' })
    expect(problems({ letters: [...sound.letters, own], sinks: [view('a')] })).toEqual([])
    const other = letter(1, { group: 'record', letterId: 'record:t:0:1' })
    expect(problems({ letters: [...sound.letters, other], sinks: [view('a')] })).toEqual([
      'INV-3 in the log, not in view'
    ])
  })

  it('sees garbage without a letter', () => {
    expect(problems({ letters: [] })).toEqual(['INV-10 not an event, without a letter'])
  })

  it('sees a letter with other bytes, without a reason, about nothing, or about an event', () => {
    expect(problems({ letters: [letter(2, { valueHash: 'other' })] })).toEqual([
      'INV-10 a letter whose bytes are not those of its record'
    ])
    expect(problems({ letters: [letter(2, { reason: '' })] })).toEqual(['INV-10 a letter without a reason'])
    expect(problems({ letters: [letter(2), letter(9)] })).toContain(
      'INV-10 a letter about a record that is not in the log'
    )
    expect(problems({ letters: [letter(2), letter(1)] })).toEqual(['INV-10 an event that is in the dead letters'])
  })

  it('takes a repeated letter for the same letter', () => {
    const twice = { ...sound, letters: [letter(2), letter(2)] }
    expect(judge(twice).violations).toEqual([])
    expect(judge(twice).figures.letters).toBe(1)
  })
})
