// The rules of the house that a machine can hold (CONTRIBUTING.md). Each ban names what to use instead.
// scripts/check-lint.test.ts plants a violation of the import rules and expects it to be found.
import { defineConfig } from 'oxlint'

/** Each third-party client has one owner; everybody else uses the owner's package. */
const owners: Readonly<Record<string, readonly string[]>> = {
  kafkajs: ['packages/kafka'],
  pg: ['packages/stores'],
  ioredis: ['packages/stores'],
  '@clickhouse/client': ['packages/stores', 'infra/local'],
  opossum: ['packages/stores'],
  pino: ['packages/observability'],
  'prom-client': ['packages/observability'],
  ajv: ['packages/contracts', 'scripts'],
  chdb: ['infra/local'],
  '@polyglot-sql/sdk': ['services/query'],
  commander: ['services/cli']
}

const relative = [
  {
    group: ['**/packages/**', '**/services/**', '**/infra/local/**'],
    message: 'import by package name and its exports'
  },
  { group: ['**/main.ts'], message: 'nobody imports main' }
]
const testOnly = { group: ['@millrace/testkit', '@millrace/testkit/*'], message: 'testkit is for tests only' }

/** The import rules of one room: clients it does not own are refused. */
function imports(room: string | undefined, test: boolean): ['error', object] {
  const paths = Object.entries(owners)
    .filter(([, rooms]) => room === undefined || !rooms.includes(room))
    .map(([name, rooms]) => ({ name, message: `only ${rooms.join(' and ')} own${rooms.length === 1 ? 's' : ''} it` }))
  return ['error', { paths, patterns: test ? relative : [...relative, testOnly] }]
}

/** The client runs in browsers, and its users install nothing else of this repository. */
const clientImports: ['error', object] = [
  'error',
  {
    patterns: [
      ...relative,
      { group: ['@millrace/*', 'node:*'], message: 'the client stands alone: its own files and web standards only' }
    ]
  }
]

const rooms = [...new Set(Object.values(owners).flat())]
const tests = ['**/*.test.ts', '**/test/**', '**/docs/**', 'e2e/**', 'packages/testkit/**', 'scripts/**', 'bench/**']

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'node', 'oxc', 'vitest'],
  categories: { correctness: 'error', suspicious: 'error' },
  ignorePatterns: ['node_modules', '.millrace', 'bench/results'],
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/no-explicit-any': 'error',
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'max-lines': ['error', { max: 400 }],
    'max-lines-per-function': ['error', { max: 100, skipBlankLines: true, skipComments: true }],
    'max-depth': ['error', 4],
    'max-params': ['error', 5],
    complexity: ['error', 25],
    'no-console': 'error',
    'node/no-process-env': 'error',
    'no-restricted-properties': [
      'error',
      { object: 'process', property: 'exit', message: 'return from runService, or set process.exitCode' },
      { object: 'JSON', property: 'parse', message: 'use a decoder of @millrace/contracts' },
      { object: 'Date', property: 'now', message: 'take a Clock' }
    ],
    'no-restricted-globals': [
      'error',
      { name: 'setTimeout', message: 'take a Clock (kernel): sleep, timer, retry, withDeadline' },
      { name: 'setInterval', message: 'take a Clock (kernel) and loop' }
    ],
    'no-restricted-imports': imports(undefined, false),
    // Casts carry a comment by habit; these rules cannot see it.
    'typescript/no-unsafe-type-assertion': 'off',
    // The compiler's noImplicitReturns knows exhaustive switches, this rule does not.
    'typescript/consistent-return': 'off',
    'typescript/unbound-method': 'off',
    'typescript/no-base-to-string': 'off',
    'typescript/require-array-sort-compare': 'off',
    'no-unmodified-loop-condition': 'off',
    'import/no-named-as-default-member': 'off',
    'vitest/expect-expect': 'off',
    'vitest/no-conditional-expect': 'off',
    'no-underscore-dangle': 'off',
    'no-await-in-loop': 'off',
    'no-shadow': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/require-module-specifiers': 'off',
    'vitest/valid-title': 'off',
    'vitest/valid-expect': 'off',
    'vitest/require-mock-type-parameters': 'off'
  },
  overrides: [
    ...rooms.map((room) => ({ files: [`${room}/src/**`], rules: { 'no-restricted-imports': imports(room, false) } })),
    { files: ['packages/client/src/**'], rules: { 'no-restricted-imports': clientImports } },
    {
      files: tests,
      rules: {
        'no-restricted-imports': imports(undefined, true),
        'no-restricted-globals': 'off',
        'no-restricted-properties': 'off',
        'node/no-process-env': 'off',
        'no-console': 'off',
        'max-lines': ['error', { max: 600 }],
        'max-lines-per-function': 'off'
      }
    },
    ...rooms.map((room) => ({
      files: [`${room}/src/**/*.test.ts`, `${room}/test/**`],
      rules: { 'no-restricted-imports': imports(room, true) }
    })),
    { files: ['scripts/deploy/**'], rules: { 'no-restricted-imports': imports('scripts', true) } },
    { files: ['packages/contracts/src/**', 'packages/kernel/src/**'], rules: { 'no-restricted-properties': 'off' } },
    { files: ['packages/kernel/src/**'], rules: { 'no-restricted-globals': 'off' } },
    // The client's own clock, and its only reader of JSON.
    {
      files: ['packages/client/src/runtime.ts'],
      rules: { 'no-restricted-properties': 'off', 'no-restricted-globals': 'off' }
    },
    { files: ['packages/client/src/json.ts'], rules: { 'no-restricted-properties': 'off' } },
    // A page: it has neither clock nor decoder of ours.
    {
      files: ['services/realtime/src/page/**'],
      rules: { 'no-restricted-properties': 'off', 'no-restricted-globals': 'off' }
    },
    // The engine's own answer, not an event; parts of an address.
    { files: ['services/query/src/{run-query,json}.ts'], rules: { 'no-restricted-properties': 'off' } },
    // The stack's own processes are not services: they read a settings file and end by themselves.
    {
      files: ['infra/local/src/**'],
      rules: { 'node/no-process-env': 'off', 'no-restricted-properties': 'off', 'no-restricted-globals': 'off' }
    },
    {
      files: ['packages/service/src/**', 'services/cli/**'],
      rules: { 'node/no-process-env': 'off', 'no-restricted-properties': 'off' }
    },
    {
      files: ['**/*.mjs'],
      rules: { 'node/no-process-env': 'off', 'no-restricted-properties': 'off', 'no-console': 'off' }
    },
    { files: ['*.config.ts'], rules: { 'import/no-default-export': 'off' } }
  ]
})
