// Assembles whole backends from the parts that each platform offers, so that tests can run everything on each of them.
import type { Backend, Primitive, Primitives } from '../src/primitives/backend.ts'
import { preferredBackend, type Provided } from '../src/primitives/choice.ts'
import { nodeArgon2id, nodeContentHashes, nodeHashes, nodeHkdf, nodeHmac, nodePbkdf2 } from '../src/primitives/node.ts'
import { nodeCbc, nodeCtr, nodeGcm, nodePoly1305 } from '../src/primitives/node-ciphers.ts'
import { nodeCrypto } from '../src/primitives/node-crypto.ts'
import { nodeMlKem1024, nodeX25519 } from '../src/primitives/node-kem.ts'
import {
  portableArgon2id,
  portableCbc,
  portableContentHashes,
  portableCtr,
  portableGcm,
  portableHashes,
  portableHkdf,
  portableHmac,
  portableMlKem1024,
  portablePbkdf2,
  portablePoly1305,
  portableX25519,
} from '../src/primitives/portable.ts'
import { webCbc, webContentHashes, webCtr, webGcm, webPbkdf2 } from '../src/primitives/web.ts'

type Part = Provided<Partial<Primitives>>

const portableParts: readonly (() => Part)[] = [
  portableHashes,
  portableContentHashes,
  portableHmac,
  portableHkdf,
  portableGcm,
  portableCtr,
  portableCbc,
  portablePoly1305,
  portableX25519,
  portableMlKem1024,
  portablePbkdf2,
  portableArgon2id,
]

function assemble(name: Backend['name'], parts: readonly (Part | undefined)[]): Backend {
  const working = [...portableParts.map((part) => part()), ...parts.filter((part) => part !== undefined)]
  const providers: Partial<Record<Primitive, string>> = {
    Ed25519: '@noble/curves',
    randomness: 'crypto.getRandomValues',
  }
  for (const { primitives, provider } of working) for (const primitive of primitives) providers[primitive] = provider
  return Object.assign({ name, providers, fips: false }, ...working.map(({ part }) => part)) as Backend
}

export const portableBackend: Backend = assemble('portable', [])

/** Returns the backend of node:crypto, or undefined on platforms without it. */
export function nodeBackend(): Backend | undefined {
  if (nodeCrypto() === undefined) return undefined
  const parts = [
    nodeHashes,
    nodeContentHashes,
    nodeHmac,
    nodeHkdf,
    nodeGcm,
    nodeCtr,
    nodeCbc,
    nodePoly1305,
    nodeX25519,
    nodeMlKem1024,
    nodePbkdf2,
    nodeArgon2id,
  ]
  return assemble(
    'node',
    parts.map((part) => part()),
  )
}

/** Returns the backend of WebCrypto, or undefined on platforms without it. */
export function webBackend(): Backend | undefined {
  if (webPbkdf2() === undefined) return undefined
  return assemble('web', [webContentHashes(), webGcm(), webCtr(), webCbc(), webPbkdf2()])
}

/** Returns the backend that the library uses now: the one that a test chose, or the fastest of this platform. */
export const backend = (): Backend => preferredBackend() ?? nodeBackend() ?? webBackend() ?? portableBackend
