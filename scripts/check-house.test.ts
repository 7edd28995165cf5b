// A guard that cannot fail guards nothing: each rule is shown a planted violation.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { checkHouse } from './check-house.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function tree(files: Readonly<Record<string, unknown>>): string {
  const root = mkdtempSync(join(tmpdir(), 'millrace-house-'))
  folders.push(root)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return root
}

describe('package rules', () => {
  it('hold in this repository', () => {
    expect(checkHouse(fileURLToPath(new URL('..', import.meta.url)))).toEqual([])
  })

  it('let a service depend on the client', () => {
    const manifest = { name: '@millrace/a', dependencies: { '@millrace/client': 'workspace:*' } }
    expect(checkHouse(tree({ 'services/a/package.json': manifest }))).toEqual([])
  })

  it.each([
    [
      'a package that depends on a later one',
      {
        'packages/kernel/package.json': {
          name: '@millrace/kernel',
          dependencies: { '@millrace/config': 'workspace:*' }
        }
      },
      {
        file: 'packages/kernel/package.json',
        problem: '@millrace/kernel comes before @millrace/config in the package order and may not depend on it'
      }
    ],
    [
      'a service that depends on a service',
      { 'services/a/package.json': { name: '@millrace/a', dependencies: { '@millrace/gateway': 'workspace:*' } } },
      { file: 'services/a/package.json', problem: 'nobody may depend on @millrace/gateway' }
    ],
    [
      'a service that runs on test code',
      { 'services/a/package.json': { name: '@millrace/a', dependencies: { '@millrace/testkit': 'workspace:*' } } },
      { file: 'services/a/package.json', problem: 'testkit is for tests only: make it a devDependency' }
    ],
    [
      'a client with a dependency',
      {
        'packages/client/package.json': {
          name: '@millrace/client',
          dependencies: { '@millrace/kernel': 'workspace:*' }
        }
      },
      {
        file: 'packages/client/package.json',
        problem: '@millrace/client has no dependencies, @millrace/kernel included'
      }
    ],
    [
      'a package that depends on the client',
      {
        'packages/kernel/package.json': {
          name: '@millrace/kernel',
          dependencies: { '@millrace/client': 'workspace:*' }
        }
      },
      { file: 'packages/kernel/package.json', problem: 'no package may depend on @millrace/client' }
    ],
    [
      'a version outside the catalog',
      { 'packages/kafka/package.json': { name: '@millrace/kafka', dependencies: { kafkajs: '2.2.4' } } },
      { file: 'packages/kafka/package.json', problem: 'kafkajs must take its version from the catalog ("catalog:")' }
    ],
    [
      'a barrel with a star',
      {
        'packages/kafka/package.json': { name: '@millrace/kafka' },
        'packages/kafka/src/index.ts': "export * from './port.ts'\n"
      },
      { file: 'packages/kafka/src/index.ts', problem: 'a barrel re-exports by name, never *' }
    ]
  ])('find %s', (_name, files, violation) => {
    expect(checkHouse(tree(files))).toEqual([violation])
  })
})
