/** The nets as functions of TensorFlow.js, in Node and in a page. */
import type { Scalar, Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Batch } from '../nets.ts';
import { mnist, type Net, oneHotLabels, scaledPixels, splitParameters } from '../nets.ts';

export type TensorFlow = typeof import('@tensorflow/tfjs-core');

export type TensorBatch = ReturnType<typeof tensorBatch>;

/** A batch as tensors: images in the net's input shape, labels one-hot. */
export function tensorBatch(tf: TensorFlow, net: Net, batch: Batch) {
  const samples = batch.labels.length;
  return {
    images: tf.tensor(scaledPixels(batch), net.name === 'cnn' ? [samples, 28, 28, 1] : [samples, mnist.pixels]),
    labels: tf.tensor2d(oneHotLabels(batch), [samples, mnist.classes]),
  };
}

/** The parameters as tensors, in model order. */
export function parameterTensors(tf: TensorFlow, net: Net, parameters: Float32Array): Tensor[] {
  return splitParameters(net, parameters).map((part, index) => tf.tensor(part.slice(), [...net.shapes[index]!]));
}

export function meanLossOf(tf: TensorFlow, net: Net, parameters: readonly Tensor[], batch: TensorBatch): Scalar {
  const logits = net.name === 'cnn' ? cnn(tf, parameters, batch.images) : perceptron(tf, parameters, batch.images);
  return tf.neg(tf.mean<Scalar>(tf.sum(tf.mul(batch.labels, tf.logSoftmax(logits)), 1)));
}

function perceptron(tf: TensorFlow, parameters: readonly Tensor[], images: Tensor): Tensor {
  const [weight1, bias1, weight2, bias2] = parameters;
  const activation = tf.relu(tf.add(tf.matMul(images, weight1!), bias1!));
  return tf.add(tf.matMul(activation, weight2!), bias2!);
}

function cnn(tf: TensorFlow, parameters: readonly Tensor[], images: Tensor): Tensor {
  const [kernel1, bias1, kernel2, bias2, weight, bias] = parameters;
  const stage = (input: Tensor, kernel: Tensor, offset: Tensor): Tensor4D => {
    const sums = tf.add(tf.conv2d(input as Tensor4D, kernel as Tensor4D, 1, 'same'), offset);
    return tf.maxPool(tf.relu(sums) as Tensor4D, 2, 2, 'valid');
  };
  const features = stage(stage(images, kernel1!, bias1!), kernel2!, bias2!);
  return tf.add(tf.matMul(tf.reshape(features, [images.shape[0]!, -1]), weight!), bias!);
}
