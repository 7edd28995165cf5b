import { expect, test } from 'vitest'
import { coresFor, costCard } from './cost-card.ts'

test('twenty microseconds of each of 50,000 events are one core, and two when half of them shall be idle', () => {
  expect(coresFor(20, 50_000)).toBe(2)
})

test('the card has a line for each stage and their sum', () => {
  const measured = [
    { stage: 'gateway', suite: 'g', variant: 'x', cpuUsPerEvent: 10, date: '2026-01-02' },
    { stage: 'loader', suite: 'l', variant: 'y', cpuUsPerEvent: 15.04, date: '2026-01-03' }
  ]
  expect(costCard(measured, [1_000, 1_000_000]).split('\n')).toEqual([
    '| Stage | CPU us/event | 1,000 ev/s | 1,000,000 ev/s | Measured |',
    '| --- | ---: | ---: | ---: | --- |',
    '| gateway | 10.0 | < 0.1 | 20 | g, 2026-01-02 |',
    '| loader | 15.0 | < 0.1 | 31 | l, 2026-01-03 |',
    '| together | 25.0 | < 0.1 | 51 |  |'
  ])
})
