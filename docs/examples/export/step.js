// An exported step over a whole input, chunk by chunk. Knows nothing of files or of the page.
"use strict";

const ARRAYS = {
  float32: Float32Array, int64: BigInt64Array, int32: Int32Array, int16: Int16Array, uint8: Uint8Array,
};

const product = (sizes) => sizes.reduce((total, size) => total * size, 1);

function firstState(facts, length) {
  if (facts.initial_state !== "zeros") throw new Error(`this page starts from zeros, not ${facts.initial_state}`);
  const state = {};
  for (const [name, { shape, type }] of Object.entries(facts.state)) {
    state[name] = new ort.Tensor(type, new ARRAYS[type](product(shape)), shape);
  }
  state["clock.length"].data[0] = BigInt(length); // where the length is known beforehand, it is told at once
  return state;
}

// input: {data, channels, length, rest}, data as (channels, length, rest) of float32, rest values a step.
// Gives {data, channels, length, rest} of the outputs, in the type that the step gives.
async function runStep(session, facts, input) {
  const { chunk, skip } = facts;
  if (input.channels !== facts.channels.input || input.rest !== product(facts.shape.slice(3))) {
    throw new Error(`the step takes ${facts.shape.join(" x ")}, the input has ${input.channels} channels of ` +
                    `${input.rest} values a step: export with --input`);
  }
  let state = firstState(facts, input.length);
  const parts = [];
  let come = 0, total = 0;
  for (let begin = 0; begin < input.length || come < skip + total; begin += chunk) {
    const piece = new Float32Array(input.channels * chunk * input.rest); // zeros past the input's end
    const count = Math.max(0, Math.min(chunk, input.length - begin)) * input.rest;
    for (let c = 0; c < input.channels; c++) {
      const start = (c * input.length + begin) * input.rest;
      if (count) piece.set(input.data.subarray(start, start + count), c * chunk * input.rest);
    }
    const outputs = await session.run({ chunk: new ort.Tensor("float32", piece, facts.shape), ...state });
    parts.push(outputs.outputs.data);
    come += facts.outputs;
    for (const name of Object.keys(state)) state[name] = outputs[`${name}.next`];
    total = Number(state["clock.outputs"].data[0]);
  }
  return joined(parts, facts, total);
}

function joined(parts, facts, length) {
  const channels = facts.channels.output, rest = product(facts.output_shape.slice(3));
  const data = new parts[0].constructor(channels * length * rest);
  parts.forEach((part, i) => {
    for (let j = 0; j < facts.outputs; j++) {
      const position = i * facts.outputs + j - facts.skip; // the first ones lie before the signal
      if (position < 0 || position >= length) continue;
      for (let c = 0; c < channels; c++) {
        const from = (c * facts.outputs + j) * rest;
        data.set(part.subarray(from, from + rest), (c * length + position) * rest);
      }
    }
  });
  return { data, channels, length, rest };
}
