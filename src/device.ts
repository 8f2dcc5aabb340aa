// keystrata/device: what one device keeps in its own database. This file exports and does nothing else.
export { createDeviceKey, type DeviceKey, openDeviceKey } from './device/device-key.ts'
export type { Place } from './device/text-value.ts'
