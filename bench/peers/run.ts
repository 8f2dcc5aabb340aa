// npm run bench:peers -- [--quick] [--json] [--sizes KIB,…]
// Compares keystrata with other libraries, which take turns in one process. Each seals contents to a public key and
// opens them again. The result of each is opened and compared before it is timed. Only this folder depends on their
// packages.
import { strict as assert } from 'node:assert'
import { parseArgs } from 'node:util'
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import * as age from 'age-encryption'
import { createKeyset, openWriter, type SealedBlock } from 'keystrata'
import sodium from 'libsodium-wrappers-sumo'
import * as openpgp from 'openpgp'
import { contentOf } from '../bare.ts'
import { describeMachine } from '../machine.ts'
import { timeEach } from '../measure.ts'

export interface PeerRow {
  bytes: number
  peer: string
  postQuantum: boolean
  /** MB/s. */
  seal: number
  open: number
}

interface Peer {
  name: string
  /** Whether the sealed content stays confidential against future quantum computers. */
  postQuantum: boolean
  seal(content: Uint8Array): Promise<unknown>
  open(sealed: unknown): Promise<Uint8Array>
}

const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })

/** Content of more than 8 MiB is split into several blocks, as a backup tool would do. */
const BLOCK = 8 * 1024 * 1024
function keystrata(encryption: 'hybrid' | 'x25519', dedup: 'scoped' | 'off'): Peer {
  const minimum = encryption === 'x25519' ? weak : keyset
  const writer = openWriter(minimum.export('host'), { encryption, dedup })
  return {
    name: `keystrata ${encryption} ${dedup}`,
    postQuantum: encryption === 'hybrid',
    async seal(content) {
      const blocks: SealedBlock[] = []
      for (let at = 0; at < content.length; at += BLOCK)
        blocks.push(await writer.seal(content.subarray(at, at + BLOCK)))
      return blocks
    },
    async open(sealed) {
      const blocks = sealed as SealedBlock[]
      const parts: Uint8Array[] = []
      for (const block of blocks) parts.push(await minimum.open(block))
      return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    },
  }
}
const weak = await createKeyset('password', {
  encryption: 'x25519',
  costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 },
})

async function agePeer(name: string, identity: string): Promise<Peer> {
  const encrypter = new age.Encrypter()
  encrypter.addRecipient(await age.identityToRecipient(identity))
  const decrypter = new age.Decrypter()
  decrypter.addIdentity(identity)
  return {
    name,
    postQuantum: name.includes('hybrid'),
    seal: (content) => encrypter.encrypt(content),
    open: (sealed) => decrypter.decrypt(sealed as Uint8Array),
  }
}

async function openpgpPeer(): Promise<Peer> {
  // The key must say that its owner supports AEAD. Otherwise OpenPGP.js writes the older CFB with SHA-1.
  const config = {
    aeadProtect: true,
    preferredAEADAlgorithm: openpgp.enums.aead.gcm,
    preferredCompressionAlgorithm: openpgp.enums.compression.uncompressed,
  }
  const { privateKey, publicKey } = await openpgp.generateKey({
    type: 'curve25519',
    userIDs: [{ name: 'bench' }],
    format: 'object',
    config,
  })
  return {
    name: 'openpgp.js',
    postQuantum: false,
    seal: async (content) =>
      openpgp.encrypt({
        message: await openpgp.createMessage({ binary: content }),
        encryptionKeys: publicKey,
        format: 'binary',
        config,
      }),
    async open(sealed) {
      const message = await openpgp.readMessage({ binaryMessage: sealed as Uint8Array })
      const [, encrypted] = message.packets
      assert.equal((encrypted as unknown as { version: number }).version, 2, 'the message uses AEAD')
      const { data } = await openpgp.decrypt({ message, decryptionKeys: privateKey, format: 'binary' })
      return data as Uint8Array
    },
  }
}

async function sodiumPeer(): Promise<Peer> {
  await sodium.ready
  const { publicKey, privateKey } = sodium.crypto_box_keypair()
  return {
    name: 'libsodium sealed box',
    postQuantum: false,
    seal: async (content) => sodium.crypto_box_seal(content, publicKey),
    open: async (sealed) => sodium.crypto_box_seal_open(sealed as Uint8Array, publicKey, privateKey),
  }
}

/** Returns a peer that seals a stream under a key that both sides already have, without any key agreement. */
async function secretstreamPeer(): Promise<Peer> {
  await sodium.ready
  const key = sodium.crypto_secretstream_xchacha20poly1305_keygen()
  const CHUNK = 64 * 1024
  return {
    name: 'libsodium secretstream',
    postQuantum: true,
    async seal(content) {
      const { state, header } = sodium.crypto_secretstream_xchacha20poly1305_init_push(key)
      const chunks: Uint8Array[] = []
      for (let at = 0; at < content.length; at += CHUNK) {
        const chunk = content.subarray(at, at + CHUNK)
        chunks.push(sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, null, 0))
      }
      return { header, chunks }
    },
    async open(sealed) {
      const { header, chunks } = sealed as { header: Uint8Array; chunks: Uint8Array[] }
      const state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key)
      return Buffer.concat(
        chunks.map((chunk) => {
          const pulled = sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, null)
          assert.ok(pulled, 'the tag of the chunk is valid')
          return pulled.message
        }),
      )
    },
  }
}

async function hpkePeer(): Promise<Peer> {
  const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
  const { publicKey: recipientPublicKey, privateKey: recipientKey } = await suite.kem.generateKeyPair()
  return {
    name: 'HPKE (@hpke/core)',
    postQuantum: false,
    async seal(content) {
      const sender = await suite.createSenderContext({ recipientPublicKey })
      return { enc: sender.enc, ct: await sender.seal(content as Uint8Array<ArrayBuffer>) }
    },
    async open(sealed) {
      const { enc, ct } = sealed as { enc: ArrayBuffer; ct: ArrayBuffer }
      const recipient = await suite.createRecipientContext({ recipientKey, enc })
      return new Uint8Array(await recipient.open(ct))
    },
  }
}

const peers: Peer[] = [
  keystrata('hybrid', 'scoped'),
  keystrata('hybrid', 'off'),
  keystrata('x25519', 'scoped'),
  await agePeer('age (typage)', await age.generateX25519Identity()),
  await agePeer('age hybrid', await age.generateHybridIdentity()),
  await openpgpPeer(),
  await sodiumPeer(),
  await secretstreamPeer(),
  await hpkePeer(),
]

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, sizes: { type: 'string' } },
})
const rounds = values.quick === true ? 3 : 7
const sizes = values.sizes?.split(',').map(Number) ?? [64, 65_536]

const rows: PeerRow[] = []
for (const kib of sizes) {
  const bytes = kib * 1024
  const content = contentOf(bytes)
  const sealed: unknown[] = []
  for (const peer of peers) {
    const made = await peer.seal(content)
    assert.equal(
      Buffer.compare(await peer.open(made), content),
      0,
      `${peer.name}: the opened content is the sealed one`,
    )
    sealed.push(made)
  }
  const seal = await timeEach(
    peers.map((peer) => () => peer.seal(content)),
    rounds,
  )
  const open = await timeEach(
    peers.map((peer, index) => () => peer.open(sealed[index])),
    rounds,
  )
  const speed = (milliseconds: number) => Number((bytes / 1000 / milliseconds).toPrecision(3))
  for (const [index, { name: peer, postQuantum }] of peers.entries()) {
    rows.push({ bytes, peer, postQuantum, seal: speed(seal[index]!), open: speed(open[index]!) })
  }
}

const machine = describeMachine()
if (values.json === true) console.log(JSON.stringify({ machine, rounds, rows }, undefined, 1))
else {
  console.log(`Node ${machine.node}, ML-KEM by ${machine.providers['ML-KEM-1024']}, ${machine.cores} × ${machine.cpu}`)
  console.log(`MB/s, medians of ${rounds} rounds in which all libraries take turns\n`)
  for (const kib of sizes) {
    console.log(`${`${kib} KiB`.padEnd(30)} seal   open  post-quantum`)
    for (const { peer, seal, open, postQuantum } of rows.filter(({ bytes }) => bytes === kib * 1024)) {
      console.log(
        `  ${peer.padEnd(26)} ${String(seal).padStart(6)} ${String(open).padStart(6)}  ${postQuantum ? 'yes' : 'no'}`,
      )
    }
    console.log()
  }
}
