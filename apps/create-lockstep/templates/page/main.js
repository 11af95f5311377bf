/** Trains a network in this tab, and draws its loss. */
import { datasetFrom, splitDataset, train } from '@lockstep/train';

/** Points of two spirals: the network learns which spiral a point belongs to. */
function twoSpirals(count) {
  const labels = Array.from({ length: count }, (_, index) => index % 2);
  const samples = labels.map((label, index) => {
    const radius = 0.1 + (0.9 * index) / count;
    const angle = 9 * radius + Math.PI * label;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
  return datasetFrom({ samples, labels });
}

const relu = { type: 'relu' };
const model = {
  name: 'spirals',
  input: [2],
  layers: [{ type: 'dense', units: 32 }, relu, { type: 'dense', units: 32 }, relu, { type: 'dense', units: 2 }],
};

const status = document.querySelector('#status');
const canvas = document.querySelector('#loss');
const context = canvas.getContext('2d');

/** Draws the losses from left to right; the bottom of the canvas is 0. */
function draw(losses) {
  const { width, height } = canvas;
  const largest = Math.max(...losses);
  context.clearRect(0, 0, width, height);
  context.beginPath();
  losses.forEach((loss, index) => {
    context.lineTo((width * index) / losses.length, height * (1 - loss / largest));
  });
  context.lineWidth = 2;
  context.stroke();
}

const run = train({ data: splitDataset(twoSpirals(600)), model, optimizer: 'adam', batch: 32, epochs: 100, seed: 1 });
const losses = [];

for await (const event of run) {
  if (event.type !== 'epoch') continue;
  losses.push(event.trainLoss);
  draw(losses);
  status.textContent = `Epoch ${event.epoch}: test accuracy ${(100 * event.testAccuracy).toFixed(2)} %`;
}

const { report } = await run.result;
status.textContent += `, after ${report.steps} steps in ${report.wallSeconds.toFixed(1)} s`;
