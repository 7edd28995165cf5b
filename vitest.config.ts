import { createHash } from 'node:crypto'
import { defineConfig } from 'vitest/config'
import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'

/** Files of half a minute and more: one that begins last would be waited for alone. */
const longFiles = [
  'services/cli/test/start.',
  'infra/local/test/launcher.',
  'packages/kafka/test/three-brokers.',
  'services/loader/test/loader.',
  'services/processor/test/processor.',
  'services/gateway/test/process.'
]

/** The long files, then the others, each in an order of the seed, which is told: no file may need another before it. */
class LongFilesFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { seed } = this.ctx.config.sequence
    this.ctx.logger.log(`      Order of the files by seed "${seed}"`)
    const place = ({ moduleId }: TestSpecification): string => {
      const isLong = longFiles.some((name) => moduleId.includes(name))
      return `${isLong ? 0 : 1}${createHash('sha256').update(`${seed} ${moduleId}`).digest('hex')}`
    }
    const places = new Map(files.map((file) => [file, place(file)]))
    return Promise.resolve(files.toSorted((a, b) => ((places.get(a) ?? '') < (places.get(b) ?? '') ? -1 : 1)))
  }
}

// The default is a second, which a busy machine may take for anything. Who waits for less says so.
const patient = { expect: { poll: { timeout: 10_000 } } }

// The kind of a test is in its file name (docs/adr/0003): unit tests lie beside the code and may not open sockets;
// integration tests need the local stack; e2e tests run every service on it, browser tests a Chromium besides.
export default defineConfig({
  test: {
    sequence: { sequencer: LongFilesFirst },
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
          testTimeout: 60_000,
          ...patient,
          // The default leaves one core free, which is half of a small machine.
          maxWorkers: '100%',
          // Modules keep no state, so files may share them: half of the time went into loading them for each.
          isolate: false
        }
      },
      {
        test: {
          name: 'integration',
          include: ['{packages,services}/*/test/**/*.integration.test.ts', 'infra/local/test/**/*.integration.test.ts'],
          globalSetup: ['packages/testkit/src/require-stack.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          ...patient,
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
          ...patient,
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
          ...patient,
          fileParallelism: false
        }
      }
    ]
  }
})
