// The ClickHouse client's own log lines as lines of our log. It reports at error what the caller gets thrown anyway,
// so its lines are one level lower here: whether something was lost is the caller's to say.
import type { Logger as ClientLogger } from '@clickhouse/client'
import type { Logger } from '@millrace/observability'

/** A logger class for the client's `log.LoggerClass`, bound to `log`. */
export function clickhouseLogger(log: Logger): new () => ClientLogger {
  return class {
    trace({ module, message }: { module: string; message: string }): void {
      log.trace({ module, detail: message }, 'clickhouse client')
    }
    debug({ module, message }: { module: string; message: string }): void {
      log.debug({ module, detail: message }, 'clickhouse client')
    }
    info({ module, message }: { module: string; message: string }): void {
      log.debug({ module, detail: message }, 'clickhouse client')
    }
    // `args` holds the statement and its parameters, which may be a user's: they are left out.
    warn({ module, message, err }: { module: string; message: string; err?: Error }): void {
      log.debug({ module, detail: message, err }, 'clickhouse client')
    }
    error({ module, message, err }: { module: string; message: string; err: Error }): void {
      log.debug({ module, detail: message, err }, 'clickhouse client')
    }
  }
}
