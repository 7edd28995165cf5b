// The broker's jars from Maven Central, downloaded once for all stacks of the repository. The folder gets its name when
// it is complete, so a killed download is never taken for a finished one.
import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@millrace/kernel'
import { repositoryRoot, toolsFolder } from './layout.ts'
import { exists, partialOf } from './partial.ts'
import { runTool } from './run-tool.ts'

const kafkaFolder = join(repositoryRoot, 'infra', 'local', 'kafka')

/** The log4j2 settings of the broker. */
export const kafkaLogSettings = join(kafkaFolder, 'log4j2.xml')

/** The folder of the jars, downloaded if need be. Throws PIPE_STACK with Maven's last lines when that fails. */
export async function kafkaJars(options: { log: (line: string) => void; signal: AbortSignal }): Promise<string> {
  const pom = join(kafkaFolder, 'pom.xml')
  const text = await readFile(pom, 'utf8')
  const version = /<kafka\.version>(.+?)<\/kafka\.version>/.exec(text)?.[1] ?? 'unknown'
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 12)
  const folder = join(toolsFolder, `kafka-${version}-${digest}`)
  if (await exists(folder)) return folder
  options.log(`getting Kafka ${version} from Maven Central`)
  const partial = await partialOf(folder)
  await mkdir(partial, { recursive: true })
  await cp(pom, join(partial, 'pom.xml'))
  const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${partial}`, '-DincludeScope=runtime']
  await runTool('mvn', ['-q', '-B', '-f', join(partial, 'pom.xml'), ...copy], { signal: options.signal })
  await rename(partial, folder).catch(async (error: unknown) => {
    // Another stack finished the same download first.
    await rm(partial, { recursive: true, force: true })
    if (!(await exists(folder))) throw new AppError('PIPE_STACK', `could not create ${folder}`, { cause: error })
  })
  return folder
}
