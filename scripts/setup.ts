// `npm run setup`: makes sure that the programs of the local stack are on this machine. `npm start` and `npm test` run
// the same check; a machine that has everything is told nothing.
import { AppError } from '@millrace/kernel'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'

try {
  await ensurePrograms({ log: (line) => console.log(`setup: ${line}`) })
} catch (error) {
  if (!(error instanceof AppError)) throw error
  console.error(`millrace: ${error.message}`)
  process.exitCode = 1
}
