'use client'
import { useEffect, useState } from 'react'
import { poolRoundTrip, roundTrip } from '../round-trip.js'

const worker = () => new Worker(new URL('keystrata/pool/worker', import.meta.url), { type: 'module' })

async function find() {
  return { ...(await roundTrip()), pool: await poolRoundTrip(), given: await poolRoundTrip({ worker }) }
}

export default function Page() {
  const [text, setText] = useState('')
  useEffect(() => {
    find().then(
      (result) => setText(JSON.stringify(result)),
      (error) => setText(String(error)),
    )
  }, [])
  return <p id="result">{text}</p>
}
