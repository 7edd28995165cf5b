// The import rules are held by the linter; this plants one violation of each and expects it to be found.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const repository = fileURLToPath(new URL('..', import.meta.url))
let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-lint-'))
  cpSync(join(repository, 'oxlint.config.ts'), join(root, 'oxlint.config.ts'))
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'))
})
afterAll(() => rmSync(root, { recursive: true }))

/** The messages of the linter for one file at `path`. */
function lint(path: string, code: string): string {
  const file = join(root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, code)
  const result = spawnSync(join(repository, 'node_modules/.bin/oxlint'), [path], {
    cwd: root,
    encoding: 'utf8'
  })
  return `${result.stdout}${result.stderr}`
}

describe('lint rules', () => {
  it.each([
    [
      'a client outside its owner',
      'services/a/src/x.ts',
      "import kafkajs from 'kafkajs'\nvoid kafkajs\n",
      'only packages/kafka owns it'
    ],
    [
      'another owner’s client in an owner',
      'packages/kafka/src/x.ts',
      "import pg from 'pg'\nvoid pg\n",
      'only packages/stores owns it'
    ],
    [
      'a path into another package',
      'services/a/src/y.ts',
      "import { x } from '../../../packages/kernel/src/x.ts'\nvoid x\n",
      'import by package name'
    ],
    ['main imported', 'services/a/src/z.ts', "import { x } from './main.ts'\nvoid x\n", 'nobody imports main'],
    [
      'testkit in a service',
      'services/a/src/t.ts',
      "import { x } from '@millrace/testkit/x'\nvoid x\n",
      'testkit is for tests only'
    ],
    [
      'the environment read in a service',
      'services/a/src/e.ts',
      "export const home = process.env['HOME']\n",
      'process.env'
    ],
    [
      'another package in the client',
      'packages/client/src/x.ts',
      "import { systemClock } from '@millrace/kernel'\nvoid systemClock\n",
      'the client stands alone'
    ],
    [
      'a module of Node in the client',
      'packages/client/src/y.ts',
      "import { randomUUID } from 'node:crypto'\nvoid randomUUID\n",
      'the client stands alone'
    ],
    [
      'a timer in the client outside its clock',
      'packages/client/src/s.ts',
      'setTimeout(() => {}, 1)\n',
      'take a Clock'
    ],
    ['a timer outside the kernel', 'services/a/src/s.ts', 'setTimeout(() => {}, 1)\n', 'take a Clock'],
    ['a default export', 'services/a/src/d.ts', 'export default 1\n', 'no-default-export']
  ])('find %s', (_name, path, code, message) => {
    expect(lint(path, code)).toContain(message)
  })

  it('find a cycle', () => {
    lint('packages/x/src/a.ts', "import { b } from './b.ts'\nexport const a = (): number => b()\n")
    expect(lint('packages/x/src/b.ts', "import { a } from './a.ts'\nexport const b = (): number => a()\n")).toContain(
      'no-cycle'
    )
  })

  it('let the owner import its client', () => {
    expect(lint('packages/kafka/src/ok.ts', "import kafkajs from 'kafkajs'\nvoid kafkajs\n")).not.toContain('owns')
  })
})
