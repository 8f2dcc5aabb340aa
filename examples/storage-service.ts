// A storage server for clients with typed keys. It stores what they send and checks their keys on every connection
// (KeyRegistry), but never sees a key. Anyone with the password of an account may enrol clients in it.
import type { Server } from 'node:http'
import { join } from 'node:path'
import { encodeBlock, parseBlock } from 'keystrata'
import { type Connection, hashPassword, type KeyRegistry, openKeyRegistry, verifyPassword } from 'keystrata/server'
import { type Blocks, blocksIn, prefixed, type RegistryStore } from 'keystrata/stores'
import { folderBlobStore } from 'keystrata/stores/folder'
import { serveStateStore } from 'keystrata/stores/http'
import { sha256 } from './backup-store.ts'
import { type Account, createWebServer, readAccount, readBody, Refusal, Sessions } from './http.ts'

export const REALM = 'keystrata-demo'
/** The name by which clients know this server. It does not depend on the address. */
export const SERVER = 'storage-1'

/** The most bytes in a message, such as an enrolment or a proof. */
const MAX_MESSAGE_BYTES = 16_384
/** The most bytes in a stored block: more than a block has. */
const MAX_BLOCK_BYTES = 65 * 1024 * 1024

/** Opens the registry of the clients' keys, for the service and for the provider that runs it. */
export const createRegistry = (state: RegistryStore, safeguarding: 'off' | 'optional' | 'mandatory'): KeyRegistry =>
  openKeyRegistry(state, { realm: REALM, server: SERVER, safeguarding })

/**
 * Creates the server. The caller must call `listen`. Many processes can serve one `state`. Sessions are in the memory of
 * each: a client that reaches another process proves its keys again.
 * @param state holds the passwords of customers, the registry, and each client's small objects
 * @param root the folder that holds one folder with blocks for each account
 */
export function createStorageService(
  state: RegistryStore,
  root: string,
  safeguarding: 'off' | 'optional' | 'mandatory' = 'off',
): Server {
  const service = new StorageService(state, root, createRegistry(state, safeguarding))
  return createWebServer((...asked) => service.answer(...asked))
}

class StorageService {
  readonly #state: RegistryStore
  readonly #root: string
  readonly #registry: KeyRegistry
  readonly #customers: Sessions<string> = new Sessions()
  readonly #clients: Sessions<Connection> = new Sessions()
  readonly #blocks: Map<string, Blocks> = new Map()

  constructor(state: RegistryStore, root: string, registry: KeyRegistry) {
    this.#state = state
    this.#root = root
    this.#registry = registry
  }

  async answer(request: Request, route: string, names: string[]): Promise<Response> {
    switch (route) {
      case 'POST /logins/0':
        return this.#logIn(await readAccount(request))
      case 'POST /enrolments/0': {
        const account = this.#customers.of(request)
        await this.#registry.enrol(await readBody(request, MAX_MESSAGE_BYTES), { account })
        return new Response(null, { status: 201 })
      }
      case 'POST /escrows/0': {
        const account = this.#customers.of(request)
        await this.#registry.safeguard(await readBody(request, MAX_MESSAGE_BYTES), { account })
        return new Response(null, { status: 201 })
      }
      case 'POST /challenges/0':
        return new Response(new Uint8Array(await this.#registry.challenge()), { status: 201 })
      case 'POST /connections/0': {
        const connection = await this.#registry.connect(await readBody(request, MAX_MESSAGE_BYTES))
        return Response.json({ token: this.#clients.open(connection), keyState: connection.state }, { status: 201 })
      }
      case 'POST /commits/0':
        await this.#registry.commitFirstBackup(this.#clients.of(request))
        return new Response(null, { status: 201 })
      case 'GET /clients/0':
        return Response.json(await this.#registry.listClients(this.#customers.of(request)))
      case 'DELETE /clients/1': {
        // A machine that was renamed, sold or stolen.
        const client = { account: this.#customers.of(request), name: names[0] ?? '' }
        const isRemoved = await this.#registry.removeClient(client)
        this.#clients.end(({ account, name }) => account === client.account && name === client.name)
        return new Response(null, { status: isRemoved ? 204 : 404 })
      }
      default:
        return this.#stored(request, route, names, this.#clients.of(request))
    }
  }

  /** Logs a customer in. Their first login sets the password. */
  async #logIn({ name, password }: Account): Promise<Response> {
    const customer = `customer/${sha256(name)}`
    if ((await this.#state.read(customer)) === undefined) {
      // If two sign up at the same time, one of the two writes is refused.
      await this.#state.write(customer, 1, Buffer.from(await hashPassword(password)))
    }
    const stored = await this.#state.read(customer)
    const hash = stored && Buffer.from(stored.bytes).toString()
    if (!(await verifyPassword(hash, password))) throw new Refusal(401, 'wrong password')
    return Response.json({ token: this.#customers.open(name) }, { status: 201 })
  }

  /** Reads and writes what clients store: blocks, which all clients of an account share, and a state store for each. */
  async #stored(
    request: Request,
    route: string,
    [label = '']: string[],
    { account, name }: Connection,
  ): Promise<Response> {
    if (/^\w+ \/state\//.test(route)) {
      return serveStateStore(prefixed(this.#state, `client/${sha256(account)}/${sha256(name)}/`), request, {
        onError: console.error,
      })
    }
    const blocks = this.#blocksOf(account)
    switch (route) {
      case 'HEAD /blocks/1':
        return new Response(null, { status: (await blocks.has(label)) ? 200 : 404 })
      case 'GET /blocks/1': {
        const block = await blocks.get(label)
        if (block === undefined) throw new Refusal(404, 'no such block')
        return new Response(encodeBlock(block))
      }
      case 'PUT /blocks/1': {
        const isNew = await blocks.put(parseBlock(await readBody(request, MAX_BLOCK_BYTES), label))
        return new Response(null, { status: isNew ? 201 : 200 })
      }
      default:
        throw new Refusal(404, 'no such resource')
    }
  }

  #blocksOf(account: string): Blocks {
    const folder = sha256(account)
    const blocks = this.#blocks.get(folder) ?? blocksIn(folderBlobStore(join(this.#root, folder)))
    this.#blocks.set(folder, blocks)
    return blocks
  }
}
