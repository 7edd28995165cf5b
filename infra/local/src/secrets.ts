// What is random about a stack: its id and the passwords of its stores. Made at the first start, kept in its folder.
import { randomBytes } from 'node:crypto'
import { layout } from './layout.ts'
import { hasFields, readState, writeState } from './state-file.ts'

export interface StackSecrets {
  readonly stackId: string
  readonly postgresPassword: string
  readonly clickhousePassword: string
}

/** The secrets of a data folder, made if it has none. */
export async function ensureSecrets(dataDir: string): Promise<StackSecrets> {
  const file = layout.secrets(dataDir)
  const known = readState(file, isSecrets)
  if (known !== undefined) return known
  const random = (): string => randomBytes(16).toString('hex')
  const secrets = { stackId: random(), postgresPassword: random(), clickhousePassword: random() }
  await writeState(file, secrets)
  return secrets
}

function isSecrets(value: unknown): value is StackSecrets {
  return hasFields(value, { stackId: 'string', postgresPassword: 'string', clickhousePassword: 'string' })
}
