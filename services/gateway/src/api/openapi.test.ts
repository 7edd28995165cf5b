import fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { problemCatalog } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { addOpsRoutes } from '@millrace/observability'
import type { OpsState } from '@millrace/observability'
import { addDocRoutes } from '@millrace/service'
import { openFakeGateway } from '../../test/fake-gateway.ts'
import { rows } from '../../test/response-table.ts'
import { badInputs } from '../../test/bad-input.ts'
import { intakePaths } from '../intake/intake.ts'
import { addAdminRoutes } from '../admin-routes.ts'
import { createOpenApi, eventProblems, retryProblems } from './openapi.ts'

interface Described {
  readonly content?: Readonly<Record<string, { readonly schema?: { readonly allOf?: readonly object[] } }>>
}

const api = createOpenApi('1.2.3')
const paths = api.paths as Readonly<
  Record<string, { readonly post?: { readonly responses: Record<string, Described> } }>
>
const intakeRows = rows.filter(
  ({ method = 'POST', path = '/v1/events' }) => method === 'POST' && Object.hasOwn(intakePaths, path.split('?', 1)[0]!)
)

/** What the description says about a status of an address: its content types and, for problems, its codes. */
function described(path: string, status: number): { types: string[]; codes: string[] } | undefined {
  const reply = paths[path]?.post?.responses[String(status)]
  if (reply === undefined) return undefined
  const [, narrowed] = reply.content?.['application/problem+json']?.schema?.allOf ?? []
  const { properties } = (narrowed ?? {}) as { properties?: { code: { enum: string[] } } }
  return { types: Object.keys(reply.content ?? {}), codes: properties?.code.enum ?? [] }
}

/** The addresses of the server as it is deployed, with everything switched on. */
function served(): readonly string[] {
  const found = new Set<string>(Object.keys(intakePaths))
  const app = fastify()
  app.addHook('onRoute', ({ url, method }) => void (method === 'GET' && found.add(url)))
  addDocRoutes(app, api)
  addAdminRoutes(app, { adminToken: 'a-token', hotWindows: async () => [] })
  // None of its handlers is called.
  addOpsRoutes(app, {} as OpsState)
  return [...found].toSorted()
}

describe('the description of the gateway', () => {
  it('has every address that is served, and no other', () => {
    expect(Object.keys(api.paths).toSorted()).toEqual(served())
  })

  it('has every status and every code of the response table', () => {
    const text = JSON.stringify(api)
    const wanted = rows.flatMap(({ status, code, items = [] }) => [
      `${status}`,
      ...(code === undefined ? [] : [code]),
      ...items.flatMap((item) => ('code' in item ? [String(item.code)] : []))
    ])
    expect([...new Set(wanted)].filter((each) => !new RegExp(`\\b${each}\\b`).test(text))).toEqual([])
  })

  it.each(intakeRows)('has the $status of $name', ({ path = '/v1/events', status, code }) => {
    const said = described(path.split('?', 1)[0]!, status)
    if (code === undefined) expect(said?.types).toContain('application/json')
    else expect(said?.codes).toContain(code)
  })

  it('has every code of an item, and of bad input', () => {
    const known: readonly string[] = [...eventProblems, ...retryProblems]
    const codes = rows.flatMap(({ items = [] }) => items.flatMap((item) => ('code' in item ? [String(item.code)] : [])))
    expect(codes.filter((code) => !known.includes(code))).toEqual([])
    const bad = badInputs.filter(({ code, status }) => !(described('/v1/events', status)?.codes ?? []).includes(code))
    expect(bad.map(({ name }) => name)).toEqual([])
  })

  it('promises no code that the table does not show', () => {
    const shown = new Set(
      rows.flatMap(({ code, items = [] }) => [code, ...items.map((item) => ('code' in item ? String(item.code) : ''))])
    )
    for (const { code } of badInputs) shown.add(code)
    const promised = Object.keys(intakePaths).flatMap((path) =>
      Object.keys(paths[path]?.post?.responses ?? {}).flatMap((status) => described(path, Number(status))?.codes ?? [])
    )
    // The two that need a bug, and a request that is not HTTP.
    const untold = new Set(promised.filter((code) => !shown.has(code)))
    expect([...untold].toSorted()).toEqual(['internal', 'invalid_request'])
    expect(promised.every((code) => problemCatalog[code as ProblemCode] !== undefined)).toBe(true)
  })

  it('refers only to what it holds', () => {
    const text = JSON.stringify(api)
    const names = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name)
    expect(names.filter((name) => !Object.hasOwn(api.components.schemas, name ?? ''))).toEqual([])
    const ids = [...text.matchAll(/"operationId":"(\w+)"/g)].map(([, id]) => id)
    expect(ids).toEqual(['postV1Events', 'postV1EventsBatch', 'postEvents', 'postCollect'])
  })

  it('is served to machines and to people, without a script or another host', async () => {
    const { request } = openFakeGateway()
    const machine = await request({ method: 'GET', url: '/openapi.json' })
    expect([machine.statusCode, machine.json<{ openapi: string }>().openapi]).toEqual([200, '3.1.0'])
    const page = await request({ method: 'GET', url: '/docs' })
    expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'/)
    expect(page.payload).not.toMatch(/<script|src=|https?:/)
    expect(page.payload).toContain('<span class="method">POST</span> /v1/events/batch')
    for (const code of eventProblems) expect(page.payload).toContain(`<code>${code}</code>`)
  })
})
