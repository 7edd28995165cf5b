// The schemas of the demo shop's event types, registered when it opens, so that there is something to list and to try.
import { readFile, readdir } from 'node:fs/promises'
import { parseSchemaText } from '@millrace/contracts'
import { listSchemas, pushSchema } from '@millrace/operations/schemas'
import type { SchemaAdmin } from '@millrace/operations/schemas'

const folder = new URL('../../../../schemas/demo/', import.meta.url)
const ending = '.schema.json'

/** The schemas in schemas/demo, by event type. */
export async function readDemoSchemas(): Promise<ReadonlyMap<string, unknown>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(ending)).toSorted()
  const texts = await Promise.all(files.map((file) => readFile(new URL(file, folder), 'utf8')))
  return new Map(files.map((file, at) => [file.slice(0, -ending.length), parseSchemaText(texts[at]!)]))
}

/**
 * Registers, in mode `warn`, the schemas of the types of `projectId` that have none; what somebody registered or changed
 * stays. Resolves with the types. Throws what `pushSchema` throws.
 */
export async function pushDemoSchemas(admin: SchemaAdmin, projectId: string): Promise<readonly string[]> {
  const known = new Set((await listSchemas(admin.postgres, projectId)).map(({ eventType }) => eventType))
  const pushed: string[] = []
  for (const [eventType, schema] of await readDemoSchemas()) {
    if (known.has(eventType)) continue
    await pushSchema(admin, { projectId, eventType }, schema, 'warn')
    pushed.push(eventType)
  }
  return pushed
}
