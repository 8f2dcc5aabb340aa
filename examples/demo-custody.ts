// The next part of the client demo: the provider requires all keys in escrow, and a lost machine is set up again from
// its registration file. The provider builds the file but cannot read it; only the customer has the activation code.
import { armRegistration, openRegistration, parseRegistration, type Client } from 'keystrata/client'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKeyset, parseCard } from 'keystrata'
import type { RegistryStore } from 'keystrata/stores'
import type { Demo } from './demo.ts'
import { ACCOUNT, restore } from './demo-client.ts'
import { refused } from './refused.ts'
import { deposit, logIn, RemoteStore } from './storage-client.ts'
import { createRegistry } from './storage-service.ts'
import { say } from './terminal.ts'

/** The end of the folder name for the restore of the lost machine. */
export const RECOVERED = 'of the laptop that was lost'

const WEEK_MS = 7 * 24 * 60 * 60 * 1000

interface Provider {
  state: RegistryStore
  serve: (safeguarding: 'off' | 'optional' | 'mandatory') => Promise<string>
}

/**
 * Runs this part of the demo.
 * @param second the folder that the laptop backed up
 */
export async function custodyStory(
  demo: Demo,
  { state, serve }: Provider,
  clients: readonly [Client, Client],
  second: string,
): Promise<void> {
  const url = await serve('mandatory')
  const customer = await logIn(url, ACCOUNT, demo.password)
  const codes: Map<string, string> = new Map()
  for (const client of clients) {
    if (!(await isSafeguarded(client, url))) {
      await refused('safeguarding-required', () => RemoteStore.connect(url, client))
      say(`${client.name} is refused: the provider requires that it deposits its keys in escrow`)
    }
    codes.set(client.name, await deposit(url, customer, client))
    await RemoteStore.connect(url, client)
    say(`${client.name} has deposited its keys and can connect; only the customer gets its activation code`)
  }

  // The laptop is lost. The provider has a keyset and the database, but not the code.
  using provider = await createKeyset(`${demo.password}, of the provider`)
  const registry = createRegistry(state, 'mandatory')
  const expires = new Date(Date.now() + WEEK_MS)
  const file = await registry.buildRegistration({ account: ACCOUNT, name: 'laptop' }, provider, { expires })
  // The customer compared this fingerprint at sign-up.
  const pinned = parseCard(provider.card().bytes, { fingerprint: provider.card().fingerprint })
  await refused('authentication-failed', async () => openRegistration(file, { account: ACCOUNT, provider: pinned }))
  say('the provider has built a registration file for the laptop, and cannot open it')

  // The customer has the code on paper, and a new machine with nothing on it.
  const machine = await mkdtemp(join(tmpdir(), 'keystrata-machine-'))
  try {
    const path = join(machine, 'laptop.registration')
    await writeFile(path, armRegistration(file, codes.get('laptop')!.toLowerCase()))
    const armed = await readFile(path)
    const { name: client, server } = parseRegistration(armed, { provider: pinned })
    using back = openRegistration(armed, { provider: pinned, account: ACCOUNT })
    const remote = await RemoteStore.connect(url, back)
    say(`with the file and the code, a new machine is ${client} again; its state on ${server} is ${remote.keyState}`)
    await restore(demo, back, remote, { into: RECOVERED, of: second })
  } finally {
    await rm(machine, { recursive: true })
  }
}

/** Returns whether the client's keys are already in escrow, as when the demo runs again with the same store. */
const isSafeguarded = (client: Client, url: string): Promise<boolean> =>
  RemoteStore.connect(url, client).then(
    () => true,
    () => false,
  )
