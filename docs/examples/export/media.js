// WAV files and pictures as arrays (channels, steps, values a step), and back.
"use strict";

// Samples of a WAV of 16 bits or of float32; a browser's own decoder would resample it.
function readWav(buffer) {
  const view = new DataView(buffer);
  const text = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (text(0) !== "RIFF" || text(8) !== "WAVE") throw new Error("not a WAV file");
  let format, at = 12;
  while (at + 8 <= buffer.byteLength && text(at) !== "data") {
    if (text(at) === "fmt ") format = at + 8;
    at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1);
  }
  const channels = view.getUint16(format + 2, true), rate = view.getUint32(format + 4, true);
  const bits = view.getUint16(format + 14, true);
  if (bits !== 16 && bits !== 32) throw new Error(`a WAV of ${bits} bits: this page reads 16, and float32`);
  const begin = at + 8, length = Math.floor(view.getUint32(at + 4, true) / (channels * bits / 8));
  const data = new Float32Array(channels * length);
  for (let i = 0; i < length * channels; i++) {
    const value = bits === 16 ? view.getInt16(begin + 2 * i, true) / 32768 : view.getFloat32(begin + 4 * i, true);
    data[(i % channels) * length + Math.floor(i / channels)] = value;
  }
  return { data, channels, length, rest: 1, rate };
}

// One channel of 16 bits as a WAV.
function writeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, sample, true));
  return new Blob([view.buffer], { type: "audio/wav" });
}

// A picture's rows; red, green and blue where the step takes three channels, else the first of them.
async function readPicture(file, channels) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const size = bitmap.width * bitmap.height, data = new Float32Array(channels * size);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < channels; c++) data[c * size + i] = pixels[4 * i + c] / 255;
  }
  return { data, channels, length: bitmap.height, rest: bitmap.width };
}

// One channel of 8 bits as a canvas.
function drawn(values, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const image = new ImageData(width, height);
  values.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
