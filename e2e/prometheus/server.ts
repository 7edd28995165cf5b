// A Prometheus of the machine with the project's own configuration, pointed at services that run.
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { freePorts } from '@millrace/local-stack/listen'
import { startOwnProcess } from '@millrace/testkit/own-process'
import { parse } from 'yaml'

/** Where the configuration, the rules and their tests are. */
export const prometheusFolder = join(repositoryRoot, 'infra/prometheus')

export interface Target {
  /** The job of the configuration: the name of the service. */
  readonly job: string
  /** host:port */
  readonly address: string
}

export interface PrometheusServer extends AsyncDisposable {
  /** `data` of an answer of its API, such as `/api/v1/targets`. */
  get<T>(path: string): Promise<T>
  /** The value of an expression with one series; undefined while there is none. */
  value(expression: string): Promise<number | undefined>
}

interface Configuration {
  global: { scrape_interval: string; evaluation_interval: string }
  rule_files: string[]
  scrape_configs: { job_name: string; dns_sd_configs?: unknown; static_configs?: unknown }[]
}

/** Starts it; resolves when it answers. Jobs of the configuration without a target are an error. */
export async function openPrometheus(targets: readonly Target[]): Promise<PrometheusServer> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-prometheus-'))
  const [port = 0] = await freePorts(1)
  await mkdir(join(folder, 'data'))
  await writeFile(join(folder, 'prometheus.yml'), await configurationFor(targets))
  const options = [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=warn'
  ]
  const server = await startOwnProcess({
    name: 'Prometheus',
    command: ['prometheus', ...options],
    ending: 'SIGTERM',
    folder,
    answers: async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok
  })
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    // Its API answers `{status, data}`.
    return ((await response.json()) as { data: T }).data
  }
  return {
    get,
    async value(expression) {
      const query = new URLSearchParams({ query: expression })
      const { result } = await get<{ result: readonly { value: [number, string] }[] }>(
        `/api/v1/query?${query.toString()}`
      )
      const [first] = result
      return first === undefined ? undefined : Number(first.value[1])
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

/** The project's configuration with fixed targets in place of DNS, looking every half second. */
async function configurationFor(targets: readonly Target[]): Promise<string> {
  const configuration = parse(await readFile(join(prometheusFolder, 'prometheus.yml'), 'utf8')) as Configuration
  configuration.global = { scrape_interval: '500ms', evaluation_interval: '1s' }
  configuration.rule_files = configuration.rule_files.map((file) => join(prometheusFolder, file))
  for (const job of configuration.scrape_configs) {
    const own = targets.filter((target) => target.job === job.job_name).map(({ address }) => address)
    if (own.length === 0) throw new Error(`no service runs for the job ${job.job_name}`)
    delete job.dns_sd_configs
    job.static_configs = [{ targets: own }]
  }
  // JSON is YAML.
  return JSON.stringify(configuration)
}
