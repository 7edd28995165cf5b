import fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { addOpsRoutes } from '@millrace/observability'
import type { OpsState } from '@millrace/observability'
import { addRoutes } from '../app.ts'
import type { QueryAppDeps } from '../app.ts'
import { createOpenApi } from './openapi.ts'

const api = createOpenApi('1.2.3')

describe('the description of the query service', () => {
  it('has every address that is served, and no other', () => {
    const served = new Set<string>()
    const app = fastify()
    app.addHook('onRoute', ({ url, method }) => {
      for (const each of [method].flat()) {
        // GET brings HEAD along.
        if (each !== 'HEAD') served.add(`${each.toLowerCase()} ${url.replaceAll(/:(\w+)/g, '{$1}')}`)
      }
    })
    // None of its handlers is called.
    addRoutes(app, {} as QueryAppDeps)
    addOpsRoutes(app, {} as OpsState)
    const described = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`)
    )
    expect(described.toSorted()).toEqual([...served].toSorted())
  })

  it('refers only to what it holds', () => {
    const names = [...JSON.stringify(api).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name)
    expect(names.filter((name) => !Object.hasOwn(api.components.schemas, name ?? ''))).toEqual([])
  })
})
