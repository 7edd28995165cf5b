// One visit to the demo shop as a walk: landing -> browsing <-> product -> cart -> checkout -> purchase. After every
// step the visitor may leave, so lengths are geometric. The walk decides what happens, not when.
import { products, searches } from './catalog.ts'
import type { Product } from './catalog.ts'
import type { Random } from './random.ts'

/** One thing a visitor did. */
export interface Step {
  readonly eventType: 'page_view' | 'search' | 'product_view' | 'add_to_cart' | 'checkout' | 'sign_in' | 'purchase'
  readonly path: string
  readonly title: string
  readonly properties: Readonly<Record<string, string | number | readonly string[]>>
}

type Place = 'landing' | 'browsing' | 'product' | 'cart' | 'checkout' | 'signed-in' | 'left'

export interface Visit {
  /** The next step; undefined when the visitor has left. */
  next(): Step | undefined
}

/** Chance that a visitor goes on after a step; the mean visit has a good seven steps. */
const stay = 0.87

/** A visit; `known` says that the visitor is signed in already. */
export function createVisit(random: Random, known: boolean): Visit {
  let place: Place = 'landing'
  let product: Product = random.pickWeighted(products)
  let signedIn = known
  const cart: Product[] = []

  const browse = (): Step => {
    place = 'browsing'
    if (random.chance(0.25)) {
      const query = random.pick(searches)
      return step('search', '/search', 'Search', { query, results: random.below(40) })
    }
    const { category } = random.pickWeighted(products)
    return step('page_view', `/c/${category}`, category, { category })
  }
  const view = (): Step => {
    place = 'product'
    product = random.pickWeighted(products)
    return step('product_view', `/p/${product.sku}`, product.name, describe(product))
  }
  const add = (): Step => {
    place = 'cart'
    cart.push(product)
    return step('add_to_cart', `/p/${product.sku}`, product.name, { ...describe(product), quantity: 1 })
  }
  const checkout = (): Step => {
    place = 'checkout'
    return step('checkout', '/checkout', 'Checkout', total(cart))
  }
  const signIn = (): Step => {
    place = 'signed-in'
    signedIn = true
    return step('sign_in', '/account/sign-in', 'Sign in', { method: random.pick(['password', 'email', 'passkey']) })
  }
  const buy = (): Step => {
    place = random.chance(0.7) ? 'left' : 'browsing'
    const sum = total(cart)
    const order = {
      orderId: `o-${random.below(2 ** 31).toString(36)}`,
      skus: cart.map(({ sku }) => sku),
      ...sum,
      // What the metric of that name adds up.
      revenue: sum.value
    }
    cart.length = 0
    return step('purchase', '/checkout/done', 'Thank you', order)
  }

  const walk = (): Step => {
    switch (place) {
      case 'landing':
        place = 'browsing'
        return random.chance(0.6) ? step('page_view', '/', 'Millrace Outdoor', {}) : view()
      case 'product':
        return random.chance(0.22) ? add() : random.chance(0.5) ? view() : browse()
      case 'cart':
        return random.chance(0.5) ? checkout() : random.chance(0.6) ? view() : browse()
      case 'checkout':
        return !signedIn && random.chance(0.75) ? signIn() : buy()
      case 'signed-in':
        return buy()
      case 'browsing':
      case 'left':
        return random.chance(0.65) ? view() : browse()
    }
  }

  let first = true
  return {
    next() {
      // Who is asked to pay has made up his mind: nobody leaves between signing in and the purchase.
      if (place === 'left' || (!first && place !== 'signed-in' && !random.chance(stay))) {
        place = 'left'
        return undefined
      }
      first = false
      return walk()
    }
  }
}

function step(eventType: Step['eventType'], path: string, title: string, properties: Step['properties']): Step {
  return { eventType, path, title, properties }
}

function describe({ sku, name, category, priceCents }: Product): Step['properties'] {
  return { sku, name, category, price: priceCents / 100 }
}

function total(cart: readonly Product[]): { value: number; currency: string; items: number } {
  return { value: cart.reduce((sum, { priceCents }) => sum + priceCents, 0) / 100, currency: 'EUR', items: cart.length }
}
