import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { root } from './declared.ts'

const folder = join(root, 'infra/docker')

/** The workspace folders that stay in an image of `service`, or what prune.mjs says instead. */
function prune(service: string): readonly string[] | string {
  const image = mkdtempSync(join(tmpdir(), 'millrace-image-'))
  onTestFinished(() => rmSync(image, { recursive: true, force: true }))
  const manifests = globSync('{packages,services,infra}/*/package.json', { cwd: root })
  for (const file of manifests) cpSync(join(root, file), join(image, file))
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'prune.mjs'), service, image], {
    encoding: 'utf8'
  })
  return status === 0 ? globSync('*/*/package.json', { cwd: image }).map(dirname).sort() : stderr
}

/** The workspace packages that `service` reaches by its dependencies, those of development not. */
function reached(service: string): readonly string[] {
  const folders = new Map(
    globSync('{packages,services,infra}/*/package.json', { cwd: root }).map((file) => {
      const manifest = JSON.parse(readFileSync(join(root, file), 'utf8')) as {
        readonly name: string
        readonly dependencies?: Readonly<Record<string, string>>
      }
      return [manifest.name, { folder: dirname(file), dependencies: Object.keys(manifest.dependencies ?? {}) }]
    })
  )
  const found = new Set<string>()
  const todo = [`@millrace/${service}`]
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    const own = folders.get(name)
    if (own === undefined || found.has(own.folder)) continue
    found.add(own.folder)
    todo.push(...own.dependencies)
  }
  return [...found].sort()
}

describe('an image', () => {
  it.each(['gateway', 'loader', 'query', 'cli'])(
    'of %s holds the packages that it reaches, and none that only tests use',
    (service) => {
      const kept = prune(service)
      expect(kept).toEqual(reached(service))
      expect(kept).not.toContain('packages/testkit')
    }
  )

  it('of something else is not built, and the names are said', () => {
    expect(prune('testkit')).toMatch(/^there is no service 'testkit': SERVICE is one of aggregator, archiver, /)
    expect(prune('')).toMatch(/^there is no service ''/)
  })

  it('runs as another user than root, without a build, and is asked whether it lives', () => {
    const text = readFileSync(join(folder, 'Dockerfile'), 'utf8')
    const last = text.slice(text.lastIndexOf('\nFROM '))
    expect(last).toContain('\nUSER node\n')
    expect(last).toContain('CMD ["node", "infra/docker/healthcheck.mjs"]')
    expect(last).toContain('ENTRYPOINT ["node", "service/src/main.ts"]')
    expect(text).toContain('pnpm install --prod --offline --frozen-lockfile --ignore-scripts')
    expect(text).not.toMatch(/tsc|rolldown|npm run build/)
  })

  it('is made of a context that lets through what it copies, and no secret', () => {
    const lines = readFileSync(join(folder, 'Dockerfile.dockerignore'), 'utf8').split('\n')
    const through = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    for (const path of through) expect(statSync(join(root, path)).size).toBeGreaterThan(0)
    expect(lines.indexOf('*')).toBeLessThan(lines.indexOf('!package.json'))
    expect(lines).toEqual(expect.arrayContaining(['**/.env*', '**/node_modules', '**/*.test.ts']))
    expect(through.filter((path) => /env|nginx|tls|\.millrace/.test(path))).toEqual([])
  })
})
