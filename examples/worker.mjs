// What the threads of a pool run here, where the library is used from its source; `createPool()` of the package needs none.
// Deno reads TypeScript by itself, and loses messages that come while a thread still starts.
if (process.versions.deno === undefined) (await import('tsx/esm/api')).register()
await import('../src/pool/worker.ts')
