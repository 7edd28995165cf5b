// What a failure of a procedure means for whoever asked over HTTP.
import type { FastifyError } from 'fastify'
import type { ProblemCode } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { FoundProblem } from '@millrace/service'

const byCode: Readonly<Partial<Record<AppError['code'], ProblemCode>>> = {
  PIPE_NOT_FOUND: 'not_found',
  PIPE_CONFLICT: 'conflict',
  PIPE_INVALID_INPUT: 'invalid_field',
  PIPE_TOPIC_DRIFT: 'conflict'
}

const byKeyword: Readonly<Record<string, ProblemCode>> = {
  required: 'missing_field',
  additionalProperties: 'unknown_field'
}

/** The problem for what a route threw or its rules refused; undefined for what the server itself answers. */
export function problemOf(error: FastifyError | AppError): FoundProblem | undefined {
  if (error instanceof AppError) {
    const code = byCode[error.code] ?? (error.class === 'transient' ? 'unavailable' : undefined)
    return code === undefined ? undefined : { code }
  }
  const [first] = error.validation ?? []
  if (first === undefined) return undefined
  const code = byKeyword[first.keyword] ?? 'invalid_field'
  const member = String(first.params['missingProperty'] ?? first.params['additionalProperty'] ?? '')
  const pointer = member === '' ? first.instancePath : `${first.instancePath}/${member}`
  return error.validationContext === 'body' ? { code, pointer } : { code }
}
