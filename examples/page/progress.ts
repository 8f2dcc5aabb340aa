/** Returns a function that shows how much of a task is done, from 0 to 1. It draws the newest report once a frame. */
export function progressOn(bar: HTMLProgressElement, percent: HTMLElement): (fraction: number) => void {
  let newest = 0
  let frame: number | undefined
  const draw = () => {
    frame = undefined
    bar.value = newest
    percent.textContent = `${Math.floor(100 * newest)} %`
  }
  return (fraction) => {
    newest = fraction
    frame ??= requestAnimationFrame(draw)
  }
}
