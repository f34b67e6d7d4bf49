// The page: three files in, one sound or picture a channel out.
"use strict";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("node_modules/onnxruntime-web/dist/", location).href;

const element = (id) => document.getElementById(id);
const chosen = (id) => {
  const [file] = element(id).files;
  if (!file) throw new Error(`choose a file for: ${element(id).labels[0].firstChild.textContent.trim()}`);
  return file;
};

let result = null; // what the last run gave: {data, channels, length, rest}

async function run() {
  const status = element("status");
  element("outputs").replaceChildren();
  result = null;
  status.textContent = "running";
  try {
    const facts = JSON.parse(await chosen("facts").text());
    const media = chosen("media");
    const sound = facts.pipeline === "audio";
    if (!sound && facts.pipeline !== "image") throw new Error(`a ${facts.pipeline} stack: this page has no film`);
    if (!facts.stored) throw new Error("export with --normalize: this page shows stored samples");
    const session = await ort.InferenceSession.create(new Uint8Array(await chosen("step").arrayBuffer()));
    const input = sound ? readWav(await media.arrayBuffer()) : await readPicture(media, facts.channels.input);
    const began = performance.now();
    const outputs = await runStep(session, facts, input);
    const seconds = (performance.now() - began) / 1000;
    show(outputs, facts, input);
    result = outputs;
    status.textContent = `${outputs.channels} channels of ${outputs.length} steps in ${seconds.toFixed(2)} s`;
  } catch (error) {
    status.textContent = String(error.message ?? error);
  }
}

function show(outputs, facts, input) {
  const size = outputs.length * outputs.rest;
  for (let c = 0; c < outputs.channels; c++) {
    const values = outputs.data.subarray(c * size, (c + 1) * size);
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    caption.textContent = `channel ${c}`;
    figure.append(caption);
    if (facts.pipeline === "audio") {
      const rate = Math.round(input.rate / evaluated(facts.stride)), player = document.createElement("audio");
      player.controls = true;
      player.src = URL.createObjectURL(writeWav(values, rate));
      figure.append(player);
    } else {
      const eight = facts.stored.bits === 8 ? values : values.map((value) => value >> (facts.stored.bits - 8));
      figure.append(drawn(eight, outputs.rest, outputs.length));
    }
    element("outputs").append(figure);
  }
}

// A stride as the JSON file states it: "2", or "147/320" where there are more outputs than inputs.
function evaluated(stride) {
  const [above, below = "1"] = stride.split("/");
  return Number(above) / Number(below);
}

element("run").addEventListener("click", run);
