/* Whole numbers as publishing packs them: column by column, low bytes first, then high bytes, all of it gzip. */

/** The bytes of a file of the site, unpacked where no server did; `told` hears how many came. */
export const bytesOf = async (url, told = (_count) => {}) => {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.split("/").at(-1)} cannot be read (${answer.status}): copy the whole folder.`);
  const chunks = [],
    reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    told(part.value.length);
    chunks.push(part.value);
  }
  const whole = new Blob(chunks),
    [one, two] = new Uint8Array(await whole.slice(0, 2).arrayBuffer());
  const packed = one === 0x1f && two === 0x8b;
  const stream = packed ? whole.stream().pipeThrough(new DecompressionStream("gzip")) : whole.stream();
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

export const jsonOf = async (url, told) => JSON.parse(new TextDecoder().decode(await bytesOf(url, told)));

/** Unpack numbers [rows, columns] into `out`, an Int16Array or Int32Array whose rows are `stride` apart. */
export const unpack = (bytes, rows, columns, out, stride = columns) => {
  const high = rows * columns,
    BLOCK = 512;
  for (let start = 0; start < rows; start += BLOCK) {
    const stop = Math.min(start + BLOCK, rows);
    for (let column = 0; column < columns; column++) {
      const at = column * rows;
      for (let row = start; row < stop; row++) {
        const value = bytes[at + row] | (bytes[high + at + row] << 8);
        out[row * stride + column] = (value >>> 1) ^ -(value & 1);
      }
    }
  }
  return out;
};

/** The weights of the model, as the float32 that its graph names: [{offset, count, step}], codes one after the other. */
export const weightsOf = (bytes, tensors, total) => {
  const out = new Float32Array(total),
    high = bytes.length / 2;
  for (const { offset, count, step, from } of tensors)
    for (let i = 0; i < count; i++) {
      const value = bytes[from + i] | (bytes[high + from + i] << 8);
      out[offset + i] = ((value >>> 1) ^ -(value & 1)) * step;
    }
  return new Uint8Array(out.buffer);
};
