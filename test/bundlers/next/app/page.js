'use client'
import { useEffect, useState } from 'react'
import { roundTrip } from '../round-trip.js'

export default function Page() {
  const [text, setText] = useState('')
  useEffect(() => {
    roundTrip().then(
      (result) => setText(JSON.stringify(result)),
      (error) => setText(String(error)),
    )
  }, [])
  return <p id="result">{text}</p>
}
