// Kafka as a part: one KRaft node on a JRE, its settings written anew before every start.
import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { kafkaJars, kafkaLogSettings } from './kafka-jars.ts'
import { kafkaProperties } from './kafka-properties.ts'
import type { KafkaNode } from './kafka-properties.ts'
import { kafkaAnswers } from './kafka-ready.ts'
import { layout } from './layout.ts'
import { exists, partialOf } from './partial.ts'
import type { Part } from './part.ts'
import type { PartContext } from './parts.ts'
import { runTool } from './run-tool.ts'

/** The single broker of the stack. */
export function createKafkaPart({ dataDir, ports, log }: PartContext): Part {
  const folder = layout.part(dataDir, 'kafka')
  const dataFolder = join(folder, 'data')
  const settings = join(folder, 'server.properties')
  const node = { id: 1, port: ports.kafka, controllerPort: ports['kafka-controller'] }
  return {
    name: 'kafka',
    port: ports.kafka,
    ports: { kafka: ports.kafka, 'kafka-controller': ports['kafka-controller'] },
    stopSignal: 'SIGTERM',
    startTimeoutMs: 60_000,
    stopTimeoutMs: 15_000,
    startAttempts: 1,
    async prepare(signal) {
      const jars = await kafkaJars({ log, signal })
      const classPath = join(jars, '*')
      await mkdir(folder, { recursive: true })
      if (!(await exists(dataFolder))) await format({ dataFolder, node, classPath, signal })
      await writeFile(settings, kafkaProperties({ node, nodes: [node], dataFolder }))
      const heap = ['-Xms128m', '-Xmx512m', '-XX:+ExitOnOutOfMemoryError']
      const logging = [`-Dlog4j2.configurationFile=${kafkaLogSettings}`]
      return {
        file: 'java',
        args: [...heap, ...logging, '-cp', classPath, 'kafka.Kafka', settings],
        cwd: folder
      }
    },
    answers: () => kafkaAnswers(ports.kafka)
  }
}

interface FormatOptions {
  readonly dataFolder: string
  readonly node: KafkaNode
  readonly classPath: string
  readonly signal: AbortSignal
}

/** Makes the broker's folder aside and renames it when complete: half a format is never taken for a whole one. */
async function format({ dataFolder, node, classPath, signal }: FormatOptions): Promise<void> {
  const partial = await partialOf(dataFolder)
  // Named after the folder: the tool of a launcher that was killed may still be about to read its own.
  const settings = `${partial}.properties`
  await writeFile(settings, kafkaProperties({ node, nodes: [node], dataFolder: partial }))
  const tool = ['kafka.tools.StorageTool', 'format', '-t', clusterId(), '-c', settings]
  await runTool('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, ...tool], { signal })
  await rename(partial, dataFolder)
  await rm(settings)
}

/** 16 random bytes the way Kafka writes a UUID. Ids that begin with a dash are refused by its command line. */
function clusterId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? clusterId() : id
}
