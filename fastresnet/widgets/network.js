// The layers of fastresnet/models/resnet.py with what each gives and costs, without a tensor. No DOM in here.

const BLOCKS = { 10: [1, 1, 1, 1], 18: [2, 2, 2, 2], 34: [3, 4, 6, 3] };

const sideAfter = (side, kernel, stride, padding) => Math.floor((side + 2 * padding - kernel) / stride) + 1;

// Every layer with weights and the pool, named as torch names it: output [channels, side, side] of one image, parameters,
// and FLOPs of the forward pass, two to a multiply-accumulate, of convolutions and matrix products alone.
function layersOf(model, imageSide) {
  const layers = [];
  const add = (part, name, what, [channels, side], parameters = 0, flops = 0) => {
    layers.push({ part, name, what, output: [channels, side, side], parameters, flops });
    return [channels, side];
  };
  const conv = (part, name, [from, side], channels, kernel, stride = 1, padding = (kernel - 1) / 2) => {
    const output = [channels, sideAfter(side, kernel, stride, padding)];
    const weights = from * channels * kernel ** 2;
    return add(part, name, `${kernel}x${kernel} convolution${stride > 1 ? `, stride ${stride}` : ""}`, output, weights, 2 * weights * output[1] ** 2);
  };
  const norm = (part, name, x) => add(part, name, "batch norm", x, 2 * x[0]);
  const block = (part, name, x, channels, stride) => {
    let out = norm(part, `${name}.bn1`, conv(part, `${name}.conv1`, x, channels, 3, stride));
    if (model.extra_conv) out = norm(part, `${name}.extra.1`, conv(part, `${name}.extra.0`, out, channels, 3));
    out = norm(part, `${name}.bn2`, conv(part, `${name}.conv2`, out, channels, 3));
    // wherever the channels change, the image is halved as well
    if (stride > 1) norm(part, `${name}.downsample.1`, conv(part, `${name}.downsample.0`, x, channels, 1, stride));
    return out;
  };
  const [kernel, stride] = model.stem === "7x7/2" ? [7, 2] : [3, 1];
  const padding = model.stem_padding ? (kernel - 1) / 2 : 0;
  let x = norm("stem", "bn1", conv("stem", "conv1", [model.in_channels, imageSide], model.channels[0], kernel, stride, padding));
  if (model.stem_pool !== "none") x = add("pool", "pool", `${model.stem_pool} pool 3x3, stride 2`, [x[0], sideAfter(x[1], 3, 2, 1)]);
  BLOCKS[model.depth].forEach((blocks, stage) => {
    for (let index = 0; index < blocks; index += 1) {
      x = block(`stage ${stage + 1}`, `layer${stage + 1}.${index}`, x, model.channels[stage], stage && !index ? 2 : 1);
    }
  });
  const weights = x[0] * model.num_classes;
  layers.push({ part: "head", name: "fc", what: "linear", output: [model.num_classes], parameters: weights + model.num_classes, flops: 2 * weights });
  return layers;
}

const sumOf = (layers, key) => layers.reduce((sum, layer) => sum + layer[key], 0);

// The parts of a network in order: the output that a part hands on, its parameters and FLOPs.
function partsOf(layers) {
  return [...new Set(layers.map(({ part }) => part))].map((part) => {
    const own = layers.filter((layer) => layer.part === part);
    return { part, output: own.at(-1).output, parameters: sumOf(own, "parameters"), flops: sumOf(own, "flops") };
  });
}
