// Values of a metrics page, for benchmarks that count what a service did.

/** The sum of the series `name` over its labels in a page of metrics; 0 when there is none. */
export function seriesOf(text: string, name: string): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
