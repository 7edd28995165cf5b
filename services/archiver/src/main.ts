// archiver: keeps every record of the raw log as Parquet in an object store. Wiring only.
import { letterTopic, rawTopicsOf } from '@millrace/contracts'
import { item, startConsumer, topicFamily } from '@millrace/consumer'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { errorFields, runService } from '@millrace/service'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveHead } from '@millrace/stores/archive-manifest'
import { openObjectStore } from '@millrace/stores/object-store'
import { openPostgres } from '@millrace/stores/postgres'
import { createArchive } from './archive.ts'
import { createCloseRange } from './close-range.ts'
import {
  archiverRules,
  archiverSpec,
  batchLimits,
  consumerSettings,
  groupBytes,
  rangeLimits,
  spoolFolder
} from './config.ts'
import { startEncoder } from './encoder.ts'
import { headsOf, logStart } from './heads.ts'
import { archiverMetrics } from './metrics.ts'
import { keepClosing, keepRemoving } from './upkeep.ts'

await runService(
  { name: 'archiver', spec: archiverSpec, rules: archiverRules },
  async ({ config, log, registry, clock, stack, signal, faults, planted, version }) => {
    const postgres = stack.use(
      await openPostgres({
        url: config.DATABASE_URL,
        poolSize: config.DATABASE_POOL_SIZE,
        log,
        name: 'millrace-archiver'
      })
    )
    const { OBJECT_STORE_URL: url, OBJECT_STORE_TIMEOUT_MS: timeoutMs } = config
    const objects = stack.use(openObjectStore({ url, clock, timeoutMs }))
    const manifest = createArchiveManifest(postgres, { planted })
    const metrics = bindMetrics(archiverMetrics, registry)
    const kafka = stack.use(await openKafka(config, { log, clientId: 'archiver' }))
    const admin = adminLater(kafka)
    const producer = stack.use(await kafka.producer())
    const folder = spoolFolder(config.SPOOL_DIR)
    const encoder = stack.use(startEncoder({ folder, groupRows: config.GROUP_ROWS, groupBytes }))
    const onOtherLog = (head: ArchiveHead): void => {
      metrics.otherLogs.add(1)
      log.error({ ...head, position: String(head.position) }, 'another log under this name: a new epoch begins')
    }
    const archive = createArchive({
      closeRange: createCloseRange({
        manifest,
        objects,
        encoder,
        metrics,
        clock,
        faults,
        logStart: (partition) => logStart(admin, partition)
      }),
      encoder,
      headsOf: (partitions) => headsOf({ manifest, admin, onOtherLog }, partitions),
      limits: rangeLimits(config),
      metrics,
      clock,
      faults
    })
    const cost = startCpuCost({ stage: 'archive', registry, clock, signal })
    const consumer = stack.use(
      await startConsumer(
        {
          name: 'archiver',
          group: config.CONSUMER_GROUP,
          topics: topicFamily({ admin, belongs: rawTopicsOf(config.PROJECTS) }),
          policy: { ...batchLimits, scope: 'lane' },
          startAt: archive.startAt,
          decode: item,
          handle: cost.counting(archive.handle),
          settings: consumerSettings(config)
        },
        {
          client: kafka.consumers,
          letters: { producer, topicFor: letterTopic, appVersion: version },
          log,
          registry,
          clock,
          signal,
          faults
        }
      )
    )
    const closing = keepClosing({
      archive,
      readOn: consumer.rewind,
      clock,
      signal,
      everyMs: Math.min(1_000, config.FILE_AFTER_MS),
      retryMs: 5_000,
      onFailure: (error) => log.warn(errorFields(error), 'ranges are closed later')
    })
    void keepRemoving({
      objects,
      manifest,
      clock,
      signal,
      keptMs: config.ORPHANS_AFTER_MS,
      everyMs: config.ORPHANS_EVERY_MS,
      onRemoved: (count) => metrics.orphans.add(count),
      onFailure: (error) => log.warn(errorFields(error), 'orphans are looked for later')
    })
    return {
      ready: consumer.ready,
      live: consumer.live,
      done: Promise.race([consumer.done, encoder.done, closing.then(() => consumer.done)]),
      checks: {
        ...consumer.checks,
        kafka: { critical: true, run: () => admin.brokerCount() },
        postgres: { critical: true, run: () => postgres.ping() },
        objects: { critical: true, run: () => objects.ping() }
      }
    }
  }
)
