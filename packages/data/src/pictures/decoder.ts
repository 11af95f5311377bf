/** Between the pictures of a data set and what decodes them: sharp in Node, the browser in a page. */

export interface PictureSize {
  /** Upright, as its orientation tag asks for. */
  readonly width: number;
  readonly height: number;
}

export interface PictureInfo extends PictureSize {
  /** Whether red, green and blue are equal in each pixel. */
  readonly isGray: () => Promise<boolean>;
}

/** Where the shape differs: cover cuts edges off, contain adds black ones, stretch distorts. */
export type PictureFit = 'cover' | 'contain' | 'stretch';

export interface PictureForm extends PictureSize {
  /** 1: gray; 3: red, green and blue. */
  readonly channels: 1 | 3;
  readonly fit: PictureFit;
}

/**
 * Takes the bytes of a PNG, JPEG or WebP file.
 * Each method throws an Error with a sentence where they are none, or damaged.
 */
export interface PictureDecoder {
  readonly describe: (bytes: Uint8Array) => Promise<PictureInfo>;
  /** u8, [height, width, channels], in memory of its own; transparent parts are white. */
  readonly decode: (bytes: Uint8Array, form: PictureForm) => Promise<Uint8Array>;
}
