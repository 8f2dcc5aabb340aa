// A service through which users exchange shares. It stores password hashes, the public cards of each user's clients,
// and sealed invites, but no key. If it swaps a card or forwards an invite to someone else, the clients detect that.
import type { Server } from 'node:http'
import { KeystrataError, parseCard } from 'keystrata'
import { hashPassword, verifyPassword } from 'keystrata/server'
import type { StateStore } from 'keystrata/stores'
import { sha256, writeNext } from './backup-store.ts'
import { type Account, createWebServer, readAccount, readBody, Refusal, Sessions } from './http.ts'

/** The most bytes in a card or an invite. */
const MAX_BODY_BYTES = 16_384

/** The card of one client of a user. */
export interface PublishedCard {
  client: string
  /** base64 */
  card: string
}

/** An invite for one client of a user. */
interface SentInvite {
  from: string
  /** base64 */
  invite: string
}

/** The object that holds the cards of a user, as a JSON list. */
export const cardsName = (user: string): string => `cards/${sha256(user)}`

/** Each version of this object is one invite. */
export const invitesName = (user: string, client: string): string => `invites/${sha256(user)}/${sha256(client)}`

/** Creates the server. The caller must call `listen`. */
export function createService(state: StateStore): Server {
  const service = new Service(state)
  return createWebServer((...asked) => service.answer(...asked))
}

class Service {
  readonly #state: StateStore
  readonly #sessions: Sessions<string> = new Sessions()

  constructor(state: StateStore) {
    this.#state = state
  }

  async answer(request: Request, route: string, [first = '', second = '']: string[]): Promise<Response> {
    switch (route) {
      case 'POST /users/0':
        return this.#signUp(await readAccount(request))
      case 'POST /sessions/0':
        return this.#logIn(await readAccount(request))
      case 'PUT /cards/1':
        return this.#putCard(this.#sessions.of(request), first, await readBody(request, MAX_BODY_BYTES))
      case 'GET /cards/1':
        this.#sessions.of(request)
        return Response.json(await this.#cardsOf(first))
      case 'POST /invites/2':
        return this.#putInvite(this.#sessions.of(request), first, second, await readBody(request, MAX_BODY_BYTES))
      case 'GET /invites/1':
        return Response.json(await this.#invitesFor(this.#sessions.of(request), first))
      default:
        throw new Refusal(404, 'no such resource')
    }
  }

  async #signUp({ name, password }: Account): Promise<Response> {
    const isFree = await this.#state.write(personName(name), 1, Buffer.from(await hashPassword(password)))
    if (!isFree) throw new Refusal(409, 'that name is already taken: choose another one')
    return Response.json({}, { status: 201 })
  }

  async #logIn({ name, password }: Account): Promise<Response> {
    const stored = await this.#state.read(personName(name))
    const hash = stored && Buffer.from(stored.bytes).toString()
    if (!(await verifyPassword(hash, password))) throw new Refusal(401, 'wrong name or password')
    return Response.json({ token: this.#sessions.open(name) }, { status: 201 })
  }

  /** Stores the card of a client. It never changes, because others have compared its fingerprint. */
  async #putCard(user: string, client: string, bytes: Uint8Array): Promise<Response> {
    try {
      parseCard(bytes)
    } catch (error) {
      throw error instanceof KeystrataError ? new Refusal(400, `invalid card: ${error.message}`) : error
    }
    await writeNext(this.#state, cardsName(user), (newest) => {
      const cards = cardsIn(newest)
      if (cards.some((card) => card.client === client)) {
        throw new Refusal(409, 'this client already has a card, which cannot be replaced')
      }
      return toJson([...cards, { client, card: base64(bytes) }])
    })
    return Response.json({}, { status: 201 })
  }

  async #cardsOf(user: string): Promise<PublishedCard[]> {
    return cardsIn((await this.#state.read(cardsName(user)))?.bytes)
  }

  async #putInvite(from: string, owner: string, client: string, bytes: Uint8Array): Promise<Response> {
    if (!(await this.#cardsOf(owner)).some((card) => card.client === client)) {
      throw new Refusal(404, 'no such client, or it has not published a card')
    }
    const sent: SentInvite = { from, invite: base64(bytes) }
    await writeNext(this.#state, invitesName(owner, client), () => toJson(sent))
    return Response.json({}, { status: 201 })
  }

  async #invitesFor(user: string, client: string): Promise<SentInvite[]> {
    const name = invitesName(user, client)
    const invites: SentInvite[] = []
    const newest = (await this.#state.read(name))?.version ?? 0
    for (let version = 1; version <= newest; version++) {
      const stored = await this.#state.readVersion(name, version)
      if (stored !== undefined) invites.push(fromJson(stored) as SentInvite)
    }
    return invites
  }
}

const personName = (name: string): string => `person/${sha256(name)}`

const cardsIn = (stored: Uint8Array | undefined): PublishedCard[] =>
  stored === undefined ? [] : (fromJson(stored) as PublishedCard[])

const toJson = (value: object): Uint8Array => Buffer.from(JSON.stringify(value))

const fromJson = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString())

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
