// The nginx of the machine with the files of infra/nginx, on ports and in folders of a test's own. Changed are places
// alone, and what Debian's older nginx says otherwise; each change has to hit, so that the files cannot drift away.
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { freePorts, isFree } from '@millrace/local-stack/listen'
import { startOwnProcess } from '@millrace/testkit/own-process'

export interface Edge extends AsyncDisposable {
  readonly port: number
  readonly plainPort: number
  /** Certificate of the server, in PEM: nobody has signed it but itself. */
  readonly ca: string
  /** What nginx has logged, requests and complaints. */
  log(): string
}

/** Ports of the instances behind it. */
export interface Behind {
  readonly gateway: readonly number[]
  readonly query: readonly number[]
  readonly realtime: readonly number[]
}

/** Starts nginx with TLS before the services on these ports of 127.0.0.1. Disposing ends it and removes its files. */
export async function openEdge(behind: Behind): Promise<Edge> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-edge-'))
  // Started by root, its workers are another user.
  chmodSync(folder, 0o711)
  const [port = 0, plainPort = 0] = await freePorts(2)
  writeFiles(folder, { port, plainPort, behind })
  const ca = makeCertificate(join(folder, 'millrace-nginx-tls'))
  const logFile = join(folder, 'nginx.log')
  const out = openSync(logFile, 'a')
  const conf = join(folder, 'millrace-nginx/nginx.conf')
  const log = (): string => readFileSync(logFile, 'utf8')
  const server = await startOwnProcess({
    name: 'nginx',
    command: ['nginx', '-p', folder, '-c', conf, '-g', 'daemon off;'],
    stdio: ['ignore', out, out],
    ending: 'SIGTERM',
    folder,
    log,
    answers: async () => !(await isFree(port))
  })
  return { port, plainPort, ca, log, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

function writeFiles(
  folder: string,
  { port, plainPort, behind }: { readonly port: number; readonly plainPort: number; readonly behind: Behind }
): void {
  const own = join(folder, 'millrace-nginx')
  cpSync(join(repositoryRoot, 'infra/nginx'), own, { recursive: true })
  const runs = join(folder, 'run')
  mkdirSync(runs)
  chmodSync(runs, 0o711)
  change(join(own, 'nginx.conf'), [
    [/\/tmp\/nginx/g, join(runs, 'nginx')],
    [/listen 8443 ssl default_server reuseport;\s+http2 on;/g, `listen 127.0.0.1:${port} ssl http2 default_server;`],
    [/listen 8080 default_server;/g, `listen 127.0.0.1:${plainPort} default_server;`],
    [/worker_rlimit_nofile \d+;/g, '']
  ])
  mkdirSync(join(folder, 'millrace-nginx-upstreams'))
  const upstreams = join(folder, 'millrace-nginx-upstreams/upstreams.conf')
  cpSync(join(own, 'upstreams/compose.conf'), upstreams)
  const serversOf = (ports: readonly number[]): string =>
    ports.map((each) => `server 127.0.0.1:${each} max_fails=3 fail_timeout=5s;`).join('\n  ')
  change(upstreams, [
    [/resolver[^;]*;/g, ''],
    ...(['gateway', 'query', 'realtime'] as const).map(
      (name) =>
        [new RegExp(`server ${name}:\\d+ resolve max_fails=3 fail_timeout=5s;`, 'g'), serversOf(behind[name])] as const
    )
  ])
}

function change(file: string, changes: readonly (readonly [what: RegExp, by: string])[]): void {
  let text = readFileSync(file, 'utf8')
  for (const [what, by] of changes) {
    if (text.search(what) < 0) throw new Error(`${file} has nothing like ${what.source}`)
    text = text.replaceAll(what, by)
  }
  writeFileSync(file, text)
}

function makeCertificate(folder: string): string {
  mkdirSync(folder)
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const files = ['-keyout', join(folder, 'tls.key'), '-out', join(folder, 'tls.crt')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...names, ...files], { stdio: 'pipe' })
  return readFileSync(join(folder, 'tls.crt'), 'utf8')
}
