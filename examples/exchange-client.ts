// A client of the exchange service. It publishes its own card, gets the cards of other users, and sends and receives
// invites. People compare fingerprints over a channel that the service does not control.
import { type Card, parseCard } from 'keystrata'

export class ExchangeClient {
  readonly #url: string
  readonly #token: string

  private constructor(url: string, token: string) {
    this.#url = url
    this.#token = token
  }

  static async signUp(url: string, name: string, password: string): Promise<void> {
    await call(`${url}/users`, { method: 'POST', body: JSON.stringify({ name, password }) })
  }

  static async logIn(url: string, name: string, password: string): Promise<ExchangeClient> {
    const answer = await call(`${url}/sessions`, { method: 'POST', body: JSON.stringify({ name, password }) })
    return new ExchangeClient(url, (answer as { token: string }).token)
  }

  /** Publishes the card of one client. Each client of a user has its own. */
  async publishCard(client: string, card: Card): Promise<void> {
    await this.#call('PUT', `/cards/${encodeURIComponent(client)}`, card.bytes)
  }

  /**
   * Gets the cards of a user's clients.
   * @param fingerprints the fingerprint of each client, as the user read it out
   * @throws KeystrataError `key-changed` if the service offers a card with another fingerprint
   */
  async cardsOf(user: string, fingerprints: Record<string, string>): Promise<{ client: string; card: Card }[]> {
    const found = (await this.#call('GET', `/cards/${encodeURIComponent(user)}`)) as { client: string; card: string }[]
    // Ignore clients that the user did not name: the service may have added them.
    return found
      .filter(({ client }) => Object.hasOwn(fingerprints, client))
      .map(({ client, card }) => ({
        client,
        card: parseCard(Buffer.from(card, 'base64'), { fingerprint: fingerprints[client]! }),
      }))
  }

  async sendInvite(user: string, client: string, invite: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#call('POST', `/invites/${encodeURIComponent(user)}/${encodeURIComponent(client)}`, invite)
  }

  async invitesFor(client: string): Promise<{ from: string; invite: Uint8Array }[]> {
    const found = await this.#call('GET', `/invites/${encodeURIComponent(client)}`)
    return (found as { from: string; invite: string }[]).map(({ from, invite }) => ({
      from,
      invite: Buffer.from(invite, 'base64'),
    }))
  }

  #call(method: string, path: string, body?: Uint8Array<ArrayBuffer>): Promise<unknown> {
    const headers = { authorization: `Bearer ${this.#token}` }
    return call(this.#url + path, { method, headers, ...(body && { body }) })
  }
}

async function call(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, init)
  const answer = (await response.json()) as { error?: string }
  if (!response.ok) throw new Error(`${init.method} ${new URL(url).pathname}: ${answer.error ?? response.status}`)
  return answer
}
