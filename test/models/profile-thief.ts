// A thief with a stolen credential, and so with a session. They try to forge, to put back what is old, and to destroy.
import { createHash } from 'node:crypto'
import { concat, domain } from '../../src/core/bytes.ts'
import type { SigningPair } from '../../src/core/key-pairs.ts'
import { KeystrataError } from '../../src/index.ts'
import { sign } from '../../src/primitives/signature.ts'
import { saveCredential } from '../../src/server.ts'
import type { StateStore } from '../../src/stores.ts'
import { patched, resummed, sample } from '../fixtures.ts'
import { type Run, NoAnswer } from './explorer.ts'
import { HASHING } from './profile-cast.ts'
import type { World } from './profile-world.ts'

/** Where the version stands, the hash of the previous one behind it, and the identity of a record (SPEC §13.1, §14.2). */
const [VERSION, IDENTITY] = [48, 88]
/** The length of what follows what is signed. */
const AFTER_SIGNED = 64 + 64 + 8

export class Thief {
  readonly #run: Run
  readonly #world: World
  readonly #own: SigningPair

  constructor(run: Run, world: World, own: SigningPair) {
    this.#run = run
    this.#world = world
    this.#own = own
  }

  /**
   * Tries random things one after the other.
   * @param session what a session gets
   * @param server the server's own store. Only its functions use it
   */
  async act(session: StateStore, server: StateStore, deeds: number): Promise<void> {
    for (let deed = 0; deed < deeds; deed++) {
      try {
        await this.#try(session, server)
      } catch (error) {
        if (!(error instanceof KeystrataError) && !(error instanceof NoAnswer)) throw error
      }
    }
  }

  async #try(session: StateStore, server: StateStore): Promise<void> {
    const logins = this.#world.server.names().filter((name) => name.startsWith('login/'))
    const keyrings = this.#world.bucket.names().filter((name) => this.#world.bucket.read(name) !== undefined)
    const name = this.#one(['profile', ...keyrings, ...keyrings])
    switch (this.#run.choose(6)) {
      case 0:
        return this.#write(session, name, sample(60))
      case 1:
        return this.#write(session, name, this.#one(this.#everything()))
      case 2:
        return session.drop(name, 1_000_000)
      case 3:
        return this.#write(session, name, this.#forged(name))
      case 4:
        return saveCredential(server, this.#one(this.#everything()), 'A'.repeat(32), HASHING)
      case 5: {
        if ((await session.read(this.#one(logins))) !== undefined) this.#run.violation('the thief sees a verifier')
      }
    }
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#run.choose(choices.length)]!
  }

  /** Everything that was ever stored. */
  #everything(): readonly Uint8Array[] {
    const { server, bucket } = this.#world
    return [server, bucket].flatMap((state) => state.names().flatMap((name) => state.object(name).versions))
  }

  async #write(session: StateStore, name: string, bytes: Uint8Array): Promise<void> {
    const version = ((await session.read(name))?.version ?? 0) + 1
    await session.write(name, version, bytes)
  }

  /** The newest version as the next one, signed with the thief's own key. */
  #forged(name: string): Uint8Array {
    const isRecord = name === 'profile'
    const bytes = (isRecord ? this.#world.server : this.#world.bucket).object(name).versions.at(-1)!
    // What cannot be read cannot be forged.
    if (bytes.length < 200) return bytes
    const previous = createHash('sha256').update(bytes).digest()
    const next = patched(patched(bytes, VERSION + 7, [bytes[VERSION + 7]! + 1]), VERSION + 8, previous)
    const own = isRecord ? patched(next, IDENTITY, this.#own.publicKey) : patched(next, next.length - 150, [0, 0, 0, 0])
    const signed = own.length - AFTER_SIGNED
    const message = concat(domain(isRecord ? 'sign/profile' : 'sign/keyring'), own.subarray(0, signed))
    return resummed(patched(own, signed, sign(this.#own.seed, message)))
  }
}
