export { eventColumns } from './columns.ts'
export type { EventColumn, EventRow } from './columns.ts'
export { problemCatalog, problemContentType, toProblem } from './problem.ts'
export type { Problem, ProblemCode } from './problem.ts'
