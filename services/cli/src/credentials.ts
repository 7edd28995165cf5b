// The secrets of a local pipeline, readable by this user only: the pepper under which keys are stored, and the keys of
// the project `demo`.
import { randomBytes } from 'node:crypto'
import { readState, writeState, hasFields } from '@millrace/local-stack/state-file'

/** What `millrace start` saves for people and tests in credentials.json. */
export interface Credentials {
  readonly projectId: string
  readonly writeKey: string
  readonly secretKey: string
  /** For the administration API. */
  readonly adminToken: string
}

/** The API_KEY_PEPPER kept in `file`, made at the first call. */
export async function ensurePepper(file: string): Promise<string> {
  const known = readState(file, isSecrets)
  if (known !== undefined) return known.apiKeyPepper
  const apiKeyPepper = randomBytes(32).toString('base64url')
  await writeState(file, { apiKeyPepper })
  return apiKeyPepper
}

/** The credentials in `file`; undefined when there are none. */
export function readCredentials(file: string): Credentials | undefined {
  return readState(file, isCredentials)
}

/** Replaces the credentials in `file` (mode 0600). */
export async function writeCredentials(file: string, credentials: Credentials): Promise<void> {
  await writeState(file, credentials)
}

/** A new administration token. */
export function generateAdminToken(): string {
  return `mr_a_${randomBytes(24).toString('base64url')}`
}

function isSecrets(value: unknown): value is { apiKeyPepper: string } {
  return hasFields(value, { apiKeyPepper: 'string' })
}

function isCredentials(value: unknown): value is Credentials {
  return hasFields(value, { projectId: 'string', writeKey: 'string', secretKey: 'string', adminToken: 'string' })
}
