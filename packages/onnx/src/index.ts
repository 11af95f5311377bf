/** A model as an ONNX file, for other programs to run. */
export { writeOnnx } from './write-onnx.ts';
