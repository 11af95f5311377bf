/** Copies rows out of an array. */

type Numbers = Uint8Array | Uint16Array | Float32Array;

/** Copies the rows with these indices out of `values` [rows, size]. Throws RangeError where a row lies beyond the end. */
export function gatherRows<Values extends Numbers>(values: Values, size: number, indices: Uint32Array): Values {
  const picked = numbersLike(values, indices.length * size) as Values;
  const rows = values.length / size;
  for (let row = 0; row < indices.length; row += 1) {
    const index = indices[row]!;
    if (index >= rows) throw new RangeError(`gather: expected rows below ${rows}, got ${index}`);
    picked.set(values.subarray(index * size, (index + 1) * size), row * size);
  }
  return picked;
}

function numbersLike(values: Numbers, length: number): Numbers {
  if (values instanceof Uint8Array) return new Uint8Array(length);
  return values instanceof Uint16Array ? new Uint16Array(length) : new Float32Array(length);
}
