// Rules of the house about packages as a whole, which a linter that sees one file cannot hold: who may depend on whom,
// one version per dependency, and barrels that re-export by name.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A package may depend only on those before it. */
const order = [
  'kernel',
  'config',
  'contracts',
  'observability',
  'service',
  'kafka',
  'stores',
  'warehouse',
  'consumer',
  'aggregation',
  'local-stack',
  'operations',
  'serving',
  'testkit'
]

/** Stands alone: it depends on nothing, and only what runs (services, bench, e2e) may depend on it. */
const client = '@millrace/client'

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** One broken rule: where, and what to do. */
export interface Violation {
  readonly file: string
  readonly problem: string
}

/** Every violation below `root`, in the order of the tree. */
export function checkHouse(root: string): Violation[] {
  const violations: Violation[] = []
  for (const { room, file, manifest } of manifests(root)) {
    const own = order.indexOf(manifest.name.replace('@millrace/', ''))
    for (const [name, range] of Object.entries(manifest.dependencies ?? {})) {
      if (manifest.name === client) {
        violations.push({ file, problem: `${client} has no dependencies, ${name} included` })
        continue
      }
      if (name === client) {
        if (room.startsWith('packages/')) violations.push({ file, problem: `no package may depend on ${client}` })
        continue
      }
      const short = name.replace('@millrace/', '')
      if (!name.startsWith('@millrace/')) {
        if (range !== 'catalog:')
          violations.push({ file, problem: `${name} must take its version from the catalog ("catalog:")` })
        continue
      }
      if (room !== 'bench' && short === 'testkit')
        violations.push({ file, problem: 'testkit is for tests only: make it a devDependency' })
      else if (!order.includes(short) && !(room === '.' || room === 'scripts'))
        violations.push({ file, problem: `nobody may depend on ${name}` })
      else if (own >= 0 && order.indexOf(short) >= own)
        violations.push({
          file,
          problem: `${manifest.name} comes before ${name} in the package order and may not depend on it`
        })
    }
    for (const [name, range] of Object.entries(manifest.devDependencies ?? {})) {
      if (!name.startsWith('@millrace/') && range !== 'catalog:')
        violations.push({ file, problem: `${name} must take its version from the catalog ("catalog:")` })
    }
    const barrel = join(root, room, 'src/index.ts')
    if (existsSync(barrel) && /export \* from/.test(readFileSync(barrel, 'utf8'))) {
      violations.push({ file: join(room, 'src/index.ts'), problem: 'a barrel re-exports by name, never *' })
    }
  }
  return violations
}

function manifests(root: string): { room: string; file: string; manifest: Manifest }[] {
  const rooms = ['packages', 'services'].flatMap((parent) => {
    const folder = join(root, parent)
    return existsSync(folder) ? readdirSync(folder).map((name) => join(parent, name)) : []
  })
  return [...rooms, 'infra/local', 'bench', 'e2e', 'scripts']
    .filter((room) => existsSync(join(root, room, 'package.json')))
    .map((room) => {
      const file = join(room, 'package.json')
      return { room, file, manifest: JSON.parse(readFileSync(join(root, file), 'utf8')) as Manifest }
    })
}

if (import.meta.main) {
  const violations = checkHouse(fileURLToPath(new URL('..', import.meta.url)))
  for (const { file, problem } of violations) console.error(`${file}: ${problem}`)
  process.exitCode = violations.length === 0 ? 0 : 1
}
