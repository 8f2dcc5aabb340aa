// Runs everywhere.mjs on a runtime that has files and a command line: Node, Bun and Deno.
import { readFileSync } from 'node:fs'
import { useEverywhere } from './everywhere.mjs'

const frozen = JSON.parse(readFileSync(new URL('frozen.json', import.meta.url), 'utf8'))
console.log(JSON.stringify(await useEverywhere(frozen)))
