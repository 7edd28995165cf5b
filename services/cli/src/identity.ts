// Who acts, for the audit log, and the pepper under which keys are stored.
import { userInfo } from 'node:os'
import { dataFolder } from './context.ts'
import type { CliContext } from './context.ts'
import { ensurePepper } from './credentials.ts'

/** `cli:<user>`; the numeric id of a user that has no name. */
export function actorOf(): string {
  try {
    return `cli:${userInfo().username}`
  } catch {
    return `cli:${process.getuid?.() ?? 'unknown'}`
  }
}

/** API_KEY_PEPPER of the environment, else the one of the local pipeline. */
export async function pepperOf({ env }: CliContext, dataDir: string): Promise<string> {
  const given = env['API_KEY_PEPPER'] ?? ''
  return given === '' ? await ensurePepper(dataFolder(dataDir).secrets) : given
}
