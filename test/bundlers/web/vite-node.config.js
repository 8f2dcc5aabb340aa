// A server build with the library inside. By default, Vite leaves it outside.
export default {
  ssr: { noExternal: true },
  build: { ssr: true, rollupOptions: { input: { program: 'program.js', worker: 'keystrata/pool/worker' } } },
}
