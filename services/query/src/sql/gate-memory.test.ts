// What the parser takes of memory, in a process of its own.
import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'

const parseMany = `
const { createGate, loadGate } = await import(process.argv[1])
await loadGate()
const gate = createGate()
for (let n = 0; n < 60; n++) {
  const { ok } = gate('SELECT eventType, count() AS n' + n + ' FROM events GROUP BY eventType ORDER BY n' + n + ' DESC')
  if (!ok) throw new Error('refused')
  await new Promise((resolve) => setImmediate(resolve))
}
console.log(process.resourceUsage().maxRSS)`

it('the first queries of a process take no hundreds of megabytes', () => {
  const gate = new URL('gate.ts', import.meta.url).href
  const shown = execFileSync(process.execPath, ['--input-type=module', '-e', parseMany, gate], { encoding: 'utf8' })
  expect(Number(shown) / 1_024).toBeLessThan(300)
})
