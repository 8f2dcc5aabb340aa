// One process of the service of a soak: `service.mjs CONFIG NUMBER [USERS_PORT CLIENTS_PORT]`. It is user-service.ts, and
// beside it a server for clients with typed keys and for resets by a recovery code. It tells its ports to its parent.
import { openSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { KeystrataError, openSavedKeyset } from 'keystrata'
import { openDeviceKey } from 'keystrata/device'
import { type Connection, guardProfiles, openKeyRegistry, saveCredential } from 'keystrata/server'
import { prefixed, type StateStore } from 'keystrata/stores'
import { serveStateStore } from 'keystrata/stores/http'
import { loadRecord } from 'keystrata/vault'
import { createWebServer, readBody, Refusal, Sessions } from '../../examples/http.ts'
import { Users } from '../../examples/user-sessions.ts'
import { createUserService } from '../../examples/user-service.ts'
import { CLIENT_REALM, serverOf } from './clients.ts'
import { measured } from './figures.ts'
import { Places } from './places.ts'
import { leaking } from './sabotage.ts'
import type { FromWorker, RunConfig, ToWorker } from './tasks.ts'

/** The lowest cost that bcrypt has here. */
const HASHING = { cost: 10 }
const MAX_BODY_BYTES = 1_500_000

const [configFile = '', number = '0', ...ports] = process.argv.slice(2)
const { adminHash, ...config } = JSON.parse(readFileSync(configFile, 'utf8')) as RunConfig & { adminHash: string }
const places = new Places(config, config.seed + 7919 * (Number(number) + 1), { connections: 8 })
const withDefects = (table?: string) =>
  leaking(places.database(table), config.sabotage, () => openSync('/dev/null', 'r'))
const database = withDefects()
const registries = {
  optional: openKeyRegistry(withDefects('registry_optional'), {
    ...{ realm: CLIENT_REALM, server: serverOf('optional'), safeguarding: 'optional' },
  }),
  mandatory: openKeyRegistry(withDefects('registry_mandatory'), {
    ...{ realm: CLIENT_REALM, server: serverOf('mandatory'), safeguarding: 'mandatory' },
  }),
}
using device = await openDeviceKey(Buffer.from(config.device, 'hex'))
const provider = openSavedKeyset(Buffer.from(config.admin.saved, 'hex'), device, { id: config.admin.id })
const users = new Users(places.pool)
const sessions: Sessions<Connection> = new Sessions()

function registryOf(name: string | undefined) {
  if (name === 'optional' || name === 'mandatory') return registries[name]
  throw new Refusal(404, 'no such registry')
}

async function storeOf(name: string): Promise<StateStore> {
  const id = await users.idOf(name)
  if (id === undefined) throw new Refusal(404, 'no such user')
  return prefixed(database, `user/${id}/`)
}

async function answer(
  request: Request,
  route: string,
  [first = '', account = '', name = '']: string[],
): Promise<Response> {
  if (/^\w+ \/state\//.test(route)) {
    const connection = sessions.of(request)
    return serveStateStore(prefixed(database, `client/${connection.account}/`), request)
  }
  switch (route) {
    case 'POST /challenges/1':
      return new Response(new Uint8Array(await registryOf(first).challenge()), { status: 201 })
    case 'POST /enrolments/2':
      await registryOf(first).enrol(await readBody(request, MAX_BODY_BYTES), { account })
      return new Response(null, { status: 201 })
    case 'POST /connections/1': {
      const connection = await registryOf(first).connect(await readBody(request, MAX_BODY_BYTES))
      registriesOf.set(connection, registryOf(first))
      const { state, safeguarded } = connection
      return Response.json({ token: sessions.open(connection), state, safeguarded }, { status: 201 })
    }
    case 'POST /commits/0': {
      const connection = sessions.of(request)
      await registriesOf.get(connection)!.commitFirstBackup(connection)
      return new Response(null, { status: 201 })
    }
    case 'POST /escrows/2':
      await registryOf(first).safeguard(await readBody(request, MAX_BODY_BYTES), { account })
      return new Response(null, { status: 201 })
    case 'POST /registrations/3': {
      const expires = new Date(Date.now() + 86_400_000)
      return new Response(await registryOf(first).buildRegistration({ account, name }, provider, { expires }))
    }
    case 'DELETE /clients/3': {
      if (config.sabotage !== 'forgotten-removal') await registryOf(first).removeClient({ account, name })
      sessions.end((client) => client.account === account && client.name === name)
      return new Response(null, { status: 204 })
    }
    case 'GET /records/1': {
      const record = await loadRecord(await storeOf(first))
      if (record === undefined) throw new Refusal(404, 'no such user')
      return new Response(record)
    }
    case 'PUT /resets/1':
      return reset(await storeOf(first), await readBody(request, MAX_BODY_BYTES))
    default:
      throw new Refusal(404, 'no such resource')
  }
}

const registriesOf: WeakMap<Connection, (typeof registries)['optional']> = new WeakMap()

/** Sets a password without a session. Only a record that the user's recovery key has signed is accepted. */
async function reset(store: StateStore, body: Uint8Array): Promise<Response> {
  const given = JSON.parse(Buffer.from(body).toString()) as { credential: string; record: string }
  const record = Buffer.from(given.record, 'base64')
  await saveCredential(store, record, given.credential, HASHING)
  const version = ((await store.read('profile'))?.version ?? 0) + 1
  if (!(await guardProfiles(store).write('profile', version, record)))
    throw new KeystrataError('conflict', 'another device has changed the profile')
  return new Response(null, { status: 204 })
}

// Connections to the database get cut, and the server restarts: those errors are no news.
console.error = () => undefined

const often = { burst: 1_000_000, perMinute: 1_000_000 }
const limits = { address: often, user: often, writes: often }
const servers = [
  createUserService(places.pool, { adminHash, limits, ...HASHING, state: database }),
  createWebServer(answer),
]
const bound = await Promise.all(
  servers.map(
    (server, index) =>
      new Promise<number>((resolve) =>
        server.listen(Number(ports[index] ?? 0), '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
      ),
  ),
)
const say = (message: FromWorker) => process.send!(message)
process.on('message', (message: ToWorker) => {
  if (message.say === 'measure') say({ say: 'figures', figures: measured(places.pool.totalCount) })
  if (message.say === 'end') process.exit()
})
// The parent has ended.
process.on('disconnect', () => process.exit())
say({ say: 'ready', ports: bound })
