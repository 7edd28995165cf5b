// Kafka as a part: one KRaft node on a JRE, its settings written anew before every start.
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { kafkaJars, kafkaLogSettings } from './kafka-jars.ts'
import { kafkaProperties } from './kafka-properties.ts'
import { kafkaAnswers } from './kafka-ready.ts'
import { layout } from './layout.ts'
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
      await writeFile(settings, kafkaProperties({ node, nodes: [node], dataFolder }))
      if (!(await isFormatted(dataFolder))) {
        const format = ['kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', clusterId(), '-c', settings]
        await runTool('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, ...format], { signal })
      }
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

/** 16 random bytes the way Kafka writes a UUID. Ids that begin with a dash are refused by its command line. */
function clusterId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? clusterId() : id
}

function isFormatted(dataFolder: string): Promise<boolean> {
  return access(join(dataFolder, 'meta.properties')).then(
    () => true,
    () => false
  )
}
