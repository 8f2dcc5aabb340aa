/** Shows what a program found, or its error: in the page, or as a line of output. */
export async function show(finding) {
  const text = await finding.then(JSON.stringify, String)
  const { document } = globalThis
  if (document) document.getElementById('result').textContent = text
  else console.log(text)
}
