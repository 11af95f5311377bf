/** A table of messages: for each type the side that sends it and its checks, from which the types derive. */
import * as v from 'valibot';

/** Messages by type: the side that sends it, or `either`, and its checks. */
export type MessageTable = Readonly<Record<string, { readonly from: string; readonly schema: v.GenericSchema }>>;

/** The message of type `K` of a table. */
export type MessageIn<T extends MessageTable, K extends keyof T> = K extends keyof T
  ? v.InferOutput<T[K]['schema']>
  : never;

/** The messages of a table that `S` may send. */
export type SentBy<T extends MessageTable, S> = {
  [K in keyof T]: T[K]['from'] extends S | 'either' ? MessageIn<T, K> : never;
}[keyof T];

/** A condition on several fields of a message, and the phrase that completes "expected …". */
export type Condition<Message> = readonly [isMet: (message: Message) => boolean, phrase: string];

/** Makes table entries of messages that one side, or `either`, sends: a message has these fields and no others. */
export function messageFrom<const From extends string>(from: From) {
  return <const Type extends string, Fields extends v.ObjectEntries>(
    type: Type,
    fields: Fields,
    ...conditions: readonly Condition<v.InferOutput<v.StrictObjectSchema<Fields, undefined>>>[]
  ) => {
    const object = v.strictObject({ type: v.literal(type), ...fields });
    const checks = conditions.map(([isMet, phrase]) => v.check(isMet, phrase));
    return { from, schema: v.pipe(object, ...checks) as unknown as typeof object };
  };
}
