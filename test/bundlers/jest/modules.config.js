// ES modules as they are. Needs NODE_OPTIONS=--experimental-vm-modules.
export default {
  transform: {},
  setupFiles: ['./text-coding.js'],
}
