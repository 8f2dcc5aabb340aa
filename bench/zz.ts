import { createKeyset } from '/work/main/src/index.ts'
import { benchSustained } from '/work/main/bench/sustained.ts'
const keyset = await createKeyset('password', { encryption: 'none', costs: { iterations: 2, memoryKiB: 19456, lanes: 1 } })
for (const b of [8388608, 1048576]) console.table(await benchSustained(keyset, b, Number(process.argv[2] ?? 1024) * 2 ** 20))
