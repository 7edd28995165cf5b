import { createManualClock } from '@millrace/kernel'
import { expect, it } from 'vitest'
import { createMemoryTerminal } from '../memory-terminal.ts'
import { createProgram } from '../program.ts'

const url = 'http://keeper:hunter2@warehouse:8123/analytics'

async function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const terminal = createMemoryTerminal()
  const program = createProgram({ terminal, env, clock: createManualClock() })
  await program.parseAsync(['warehouse', 'access', '--data-dir', '/nowhere', ...args], { from: 'user' })
  return terminal.printed()
}

it('prints statements for the database and the user of the URL, without any password of it', async () => {
  const printed = await run(['--print', '--reader', 'asker'], { CLICKHOUSE_URL: url })
  expect(printed).toContain('GRANT SELECT ON `analytics`.`events` TO `asker`;\n')
  expect(printed).toContain("IDENTIFIED BY '<password>'")
  expect(printed).toContain("currentUser() IN ('keeper', 'default')")
  expect(printed).not.toContain('hunter2')
})

it('needs the password of the reader before it changes anything', async () => {
  await expect(run([], { CLICKHOUSE_URL: url })).rejects.toThrow('CLICKHOUSE_READER_PASSWORD')
})
