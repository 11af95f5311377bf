/** The wire protocol between workers, the coordinator and viewers: messages, codecs, transports. */
export * from './broadcast.ts';
export * from './bytes.ts';
export {
  decode,
  decodeWatch,
  encode,
  encodeWatch,
  type FrameParts,
  FramePool,
  framed,
  ProtocolError,
} from './codec.ts';
export * from './dashboard.ts';
export { errorText, isPrintableLine, maxNameLength, maxWeightedClasses, sameSecret, toMessageText } from './fields.ts';
export * from './memory-pair.ts';
export * from './messages.ts';
export * from './transport.ts';
export * from './vectors.ts';
