// Questions without SQL: funnels, retention, values, timelines, and those that would like to see another project.
import type { Random } from '../../random.ts'
import type { Asking, Canaries } from './rig.ts'

const types = ['purchase', 'page_view'] as const
const properties = ['eventType', 'userId', 'sessionId', 'properties.owner', 'properties.price'] as const

/** A question of the kind that dashboards ask. */
export function randomPath(random: Random): Asking {
  const identity = random.pick(['person', 'raw'])
  const [first, second] = [random.pick(types), random.pick(types)]
  const property = random.pick(properties)
  const values = new URLSearchParams({ identity })
  switch (random.below(4)) {
    case 0: {
      const steps = [{ eventType: first }, { eventType: second }]
      const order = random.pick(['ordered', 'strict'])
      return { path: 'funnels', body: { steps, order, identity, breakdown: { property, limit: 5 } } }
    }
    case 1:
      return { path: `retention?firstEvent=${first}&returningEvent=${second}&${values.toString()}` }
    case 2:
      return {
        path: `top/${property}?by=${random.pick(['events', 'users'])}&limit=${1 + random.below(9)}&${values.toString()}`
      }
    default:
      return { path: `users/nobody-${random.below(20)}/events?${values.toString()}` }
  }
}

/** A question that names what `other` has, or tries to leave the place of a value. */
export function hostilePath({ projectId }: Canaries, random: Random): Asking {
  const filter = { property: 'properties.owner', operator: 'isNot', values: [`') OR projectId = '${projectId}' --`] }
  return random.pick<Asking>([
    { path: `users/x/events?identity=raw&project=${projectId}` },
    { path: `users/${encodeURIComponent(`x') OR projectId = '${projectId}' --`)}/events?identity=raw` },
    { path: `top/projectId?limit=200` },
    { path: `top/${encodeURIComponent(`properties.owner') OR ('1`)}` },
    { path: `top/properties.owner?limit=200&filters=${encodeURIComponent(JSON.stringify([filter]))}` },
    {
      path: 'funnels',
      body: { steps: [{ eventType: 'purchase' }, { eventType: 'page_view', filters: [filter] }], project: projectId }
    },
    {
      path: 'funnels',
      body: {
        steps: [{ eventType: 'purchase' }, { eventType: 'page_view', filters: [filter] }],
        breakdown: { property: 'properties.owner', limit: 50 }
      }
    }
  ])
}
