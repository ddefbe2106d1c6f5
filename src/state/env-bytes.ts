/** How large an env is, as it is bounded and counted: the bytes of its names and values. */
export function envBytes(env: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(env)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}
