import { defineConfig } from 'vitest/config'

// The kind of a test is in its file name (docs/adr/0003): unit tests lie beside the code and may not open sockets;
// integration tests need the local stack; e2e tests run every service on it, browser tests a Chromium besides.
export default defineConfig({
  test: {
    sequence: { shuffle: { files: true, tests: false } },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{packages,services}/*/{src,docs}/**/*.test.ts',
            'infra/local/src/**/*.test.ts',
            'scripts/**/*.test.ts',
            'bench/src/**/*.test.ts'
          ],
          setupFiles: ['packages/testkit/src/no-network.ts'],
          testTimeout: 10_000
        }
      },
      {
        test: {
          name: 'integration',
          include: ['{packages,services}/*/test/**/*.integration.test.ts', 'infra/local/test/**/*.integration.test.ts'],
          globalSetup: ['packages/testkit/src/require-stack.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Files have projects, databases and, where they hurt one, servers of their own, and mostly wait.
          maxWorkers: 2
        }
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/*.e2e.test.ts'],
          globalSetup: ['packages/testkit/src/require-stack.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false
        }
      },
      {
        test: {
          name: 'browser',
          include: ['e2e/browser/*.browser.test.ts'],
          globalSetup: ['packages/testkit/src/require-stack.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false
        }
      }
    ]
  }
})
