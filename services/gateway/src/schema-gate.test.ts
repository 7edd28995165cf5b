import { describe, expect, it } from 'vitest'
import { compileEventSchema, defaultProjectSettings } from '@millrace/contracts'
import type { ProjectSchemas } from '@millrace/stores/event-schemas'
import type { CheckedEvent } from './acceptance.ts'
import { createSchemaGate } from './schema-gate.ts'

const schema = compileEventSchema({ required: ['amount'], properties: { amount: { type: 'number' } } })
const schemas: ProjectSchemas = new Map([
  ['purchase', { version: 3, mode: 'enforce', schema }],
  ['refund', { version: 1, mode: 'warn', schema }]
])
const project = { projectId: 'shop', logGeneration: 1, settings: defaultProjectSettings }

const event = (eventType: string, properties?: Record<string, unknown>): CheckedEvent => ({
  index: 0,
  body: Buffer.alloc(0),
  event: { eventType, ...(properties === undefined ? {} : { properties }) },
  eventId: `e-${eventType}`,
  generatedId: false,
  time: { ok: true, timestampMs: 0, sentAtMs: undefined, dependsOnReceipt: false } as unknown as CheckedEvent['time']
})

function setup(known: ProjectSchemas | undefined | Promise<ProjectSchemas | undefined>) {
  const told: string[] = []
  return { told, gate: createSchemaGate({ of: () => known }, (mode) => told.push(mode)) }
}

describe('the gate of the schemas', () => {
  it('refuses by the schema in force, with place, expectation and version, and notes the version of what passes', () => {
    const { gate, told } = setup(schemas)
    const good = event('purchase', { amount: 1 })
    expect(gate(project, [good, event('purchase', { amount: 'x' }), event('purchase'), event('other')], 0)).toEqual([
      undefined,
      {
        kind: 'rejected',
        refusal: {
          ok: false,
          status: 422,
          code: 'schema_mismatch',
          pointer: '/properties/amount',
          detail: '/properties/amount is expected must be number by version 3 of the schema',
          expected: 'must be number',
          version: 3
        }
      },
      expect.objectContaining({
        refusal: expect.objectContaining({ expected: 'to be present' }) as unknown
      }) as unknown,
      undefined
    ])
    expect([good.schemaVersion, told]).toEqual([3, ['enforce', 'enforce']])
  })

  it('lets pass and tells where the schema only warns', () => {
    const { gate, told } = setup(schemas)
    const wrong = event('refund', {})
    expect(gate(project, [wrong], 0)).toEqual([undefined])
    expect([wrong.schemaVersion, told]).toEqual([undefined, ['warn']])
  })

  it('lets pass what it cannot check, without a version, and tells', () => {
    const { gate, told } = setup(new Map([['purchase', { version: 4, mode: 'enforce', schema: undefined }]]))
    const unchecked = event('purchase', {})
    expect(gate(project, [unchecked], 0)).toEqual([undefined])
    expect([unchecked.schemaVersion, told]).toEqual([undefined, ['unusable']])
  })

  it('has events sent again while the schemas cannot be known, and waits for them while they are read', async () => {
    expect(setup(undefined).gate(project, [event('purchase')], 0)).toEqual([
      { kind: 'retry', code: 'unavailable', reason: 'schema_unknown', eventId: 'e-purchase' }
    ])
    expect(await setup(Promise.resolve(schemas)).gate(project, [event('purchase')], 0)).toMatchObject([
      { kind: 'rejected' }
    ])
  })

  it('costs nothing where a project has no schemas', () => {
    expect(setup(new Map()).gate(project, [event('purchase')], 0)).toBeUndefined()
  })
})
