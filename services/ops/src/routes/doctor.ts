// The doctor over HTTP: the same examinations as `millrace doctor`, from where the services run.
import { checkNames } from '@millrace/operations/doctor/finding'
import type { CheckName } from '@millrace/operations/doctor/finding'
import type { Examination } from '@millrace/operations/doctor/run-doctor'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { whole } from '../rules.ts'

export interface DoctorRouteDeps {
  /** Examines what `only` names; `pools` is the number of connections that all pools may open together. */
  readonly doctor: (pools: number, only: readonly CheckName[]) => Promise<Examination>
}

/** Whether everything is as it has to be. */
export function createDoctorRoutes({ doctor }: DoctorRouteDeps): readonly OpsRoute[] {
  return [
    route<{ query: { pools: number; only: readonly CheckName[] } }>({
      method: 'GET',
      path: '/v1/doctor',
      summary: 'Whether topics, stores, clocks, space and settings are as they have to be',
      description:
        'Changes nothing and takes seconds. `healthy` is whether there is no failure; every warning and failure has its fix. What cannot be asked is a failure by itself.',
      query: {
        properties: {
          pools: whole('Connections that the pools of all processes may open together.', 1, 1_000_000, 50),
          only: {
            type: 'array',
            items: { type: 'string', enum: [...checkNames] },
            default: [...checkNames],
            description: 'Only these examinations; may be repeated.'
          }
        }
      },
      reply: { status: 200, description: '`healthy`, and the findings in the order of the examinations.' },
      handle: async ({ query: { pools, only } }) => await doctor(pools, only)
    })
  ]
}
